#!/usr/bin/env bash
# check_shared.sh SOURCE COMPILER: builds the shared library, looks at what it exports, and runs check.sh on it.
set -euo pipefail
source_tree=$1 compiler=$2
here=$(dirname "${BASH_SOURCE[0]}")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

cmake -S "$source_tree" -B "$tree" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DMOE_BUILD_TESTS=OFF \
  -DMOE_UNITY=ON -DMOE_PCH=ON -DMOE_BUILD_EXAMPLES=OFF -DCMAKE_CXX_COMPILER="$compiler" >"$tree/log" 2>&1 || { cat "$tree/log"; exit 1; }
cmake --build "$tree" >"$tree/log" 2>&1 || { tail -50 "$tree/log"; exit 1; }

library=$(find "$tree" -name 'libmoe.so')
soname=$(objdump -p "$library" | sed -n 's/^ *SONAME *//p')
[[ $soname =~ ^libmoe\.so\.[0-9]+\.[0-9]+$ ]] || { echo "FAILED: SONAME '$soname', expected libmoe.so.MAJOR.MINOR"; exit 1; }
# Templates of the standard library are weak and visible; functions of our own that are strong must be public ones.
strangers=$(nm -DC --defined-only "$library" | awk '$2 == "T"' | grep -vE ' T moe::v[0-9]+[a-z_]*::' || true)
inner=$(nm -DC --defined-only "$library" | awk '$2 == "T"' | grep -E '::(kernels|checkpoint|detail)::' || true)
[[ -z $strangers$inner ]] || { echo "FAILED: exported, but not public:"; echo "$strangers$inner"; exit 1; }

bash "$here/check.sh" "$source_tree" "$tree" "$compiler"

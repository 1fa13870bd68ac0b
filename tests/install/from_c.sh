#!/usr/bin/env bash
# from_c.sh SOURCE PREFIX MODEL: examples/generate.c against the installed package, by CMake and by pkg-config, without
# C++, a header of the library, or anything that the library is linked with.
set -euo pipefail
source_tree=$1 prefix=$2 model=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
cp "$source_tree/examples/generate.c" "$work"

cat >"$work/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.22)
project(from_c LANGUAGES C)
find_package(moe REQUIRED COMPONENTS c)
add_executable(generate generate.c)
target_link_libraries(generate PRIVATE moe::c)
END
without=()
for package in tl-expected OpenMP fmt PkgConfig; do without+=("-DCMAKE_DISABLE_FIND_PACKAGE_$package=ON"); done
cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS="-std=c89 -pedantic -Wall -Wextra -Werror" \
  "${without[@]}" >"$work/log" 2>&1 || { cat "$work/log"; fail "COMPONENTS c does not configure"; }
cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; fail "the program in C does not build"; }
by_cmake=$("$work/build/generate" "$model" Hello)
[[ -n $by_cmake ]] || fail "the program in C printed nothing"

libdir=$(dirname "$(find "$prefix" -name libmoe_c.so)")
read -ra flags <<<"$(PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --cflags --libs moe_c)"
gcc "$work/generate.c" "${flags[@]}" -o "$work/by_pkg_config"
by_pkg_config=$(LD_LIBRARY_PATH=$libdir "$work/by_pkg_config" "$model" Hello)
[[ $by_pkg_config == "$by_cmake" ]] || fail "pkg-config's program says '$by_pkg_config', expected '$by_cmake'"

! "$work/build/generate" "$work/nothing.gguf" 2>"$work/said" || fail "a missing file was accepted"
[[ $(wc -l <"$work/said") == 1 ]] || fail "expected one line, got: $(cat "$work/said")"

#!/usr/bin/env bash
# exports.sh LIBRARY HEADER: the library shows the functions of moe.h, all of them and nothing else, as MOE_1.0.
set -euo pipefail
library=$1 header=$2
fail() { echo "FAILED: $*"; exit 1; }
declared=$(grep -oE '\bmoe_[a-z0-9_]+\(' "$header" | tr -d '(' | sort -u)
shown=$(nm -D --defined-only "$library" | awk '$2 != "A" {print $3}' | sort)
[[ $shown == "$(sed 's/$/@@MOE_1.0/' <<<"$declared")" ]] ||
  fail "declared and exported differ: $(diff <(sed 's/$/@@MOE_1.0/' <<<"$declared") <(echo "$shown"))"
soname=$(objdump -p "$library" | awk '$1 == "SONAME" {print $2}')
[[ $soname == libmoe_c.so.1 ]] || fail "the SONAME is '$soname', expected libmoe_c.so.1"
version=$(sed -n 's/^#define MOE_ABI_VERSION //p' "$header")
file=$(basename "$(readlink -f "$library")")
[[ $file == "libmoe_c.so.1.$version" ]] || fail "the file is $file, expected libmoe_c.so.1.$version"
echo "$(wc -l <<<"$declared") functions"

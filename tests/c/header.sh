#!/usr/bin/env bash
# header.sh INCLUDE: moe.h alone and twice, in every language and by every compiler that may meet it.
set -euo pipefail
include=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

printf '#include <moe.h>\n#include <moe.h>\nint moe_unit(void) { return moe_abi_version() == MOE_ABI_VERSION; }\n' >"$work/unit.c"
cp "$work/unit.c" "$work/unit.cpp"
seen=0
try() {  # COMPILER LANGUAGE-STANDARD FILE
  command -v "$1" >/dev/null || { echo "SKIPPED $1 $2: it is not installed"; return 0; }
  "$1" "-std=$2" -pedantic -Wall -Wextra -Wundef -Werror -I"$include" -c "$3" -o "$work/unit.o" || fail "$1 -std=$2"
  seen=$((seen + 1))
}
for compiler in gcc clang clang-14; do
  for standard in c89 c99 c11 c17; do try "$compiler" "$standard" "$work/unit.c"; done
done
for compiler in g++ clang++ clang++-14; do
  for standard in c++98 c++11 c++20; do try "$compiler" "$standard" "$work/unit.cpp"; done
done
((seen >= 7)) || fail "only $seen compilations, expected those of one compiler at least"
# Nothing that changes size between compilers stands in a struct, and no enum stands anywhere.
! grep -nE '\b(enum|bool|_Bool|long|unsigned|wchar_t)\b' "$include/moe.h" | grep -v '^[0-9]*: \*\|/\*' || fail "a type of no fixed size"
echo "$seen compilations"

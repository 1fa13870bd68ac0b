#!/usr/bin/env bash
# abi.sh HEADER FROZEN [--freeze]: whether programs that were built against the frozen interface run with this header's.
#
# The description is of a library made from moe.h itself, with empty functions: what a program sees, and nothing of C++.
# That libmoe_c.so has these functions is what its compiler (one header for both) and exports.sh say.
#   --freeze   writes FROZEN, for a release that adds a field at the end of a struct. abidiff 2.2 reports such a field, and
#              its suppressions for them hide changes that break programs as well: look at what it says before.
set -euo pipefail
header=$1 frozen=$2 mode=${3-}
command -v abidw >/dev/null || { echo "SKIPPED abidiff: abigail-tools is not installed"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

describe() {  # HEADER OUT
  { echo '#include "moe.h"'; gcc -E -P -I"$(dirname "$1")" "$1" | tr '\n' ' ' |
    grep -oE '__attribute__\(\(visibility\("default"\)\)\)[^;]*;' | sed -E \
      -e 's/^__attribute__\(\(visibility\("default"\)\)\) //' -e '/^void [^*(]*\(/!s/;$/ { return 0; }/' -e 's/;$/ {}/'
  } >"$work/stub.c"
  gcc -std=c99 -g -shared -fPIC -I"$(dirname "$1")" -Wl,-soname,libmoe_c.so.1 "$work/stub.c" -o "$work/stub.so"
  abidw --no-show-locs --no-comp-dir-path --no-corpus-path --no-elf-needed --no-architecture --out-file "$2" "$work/stub.so"
  sed -i "s| path='[^']*'| path='moe.h'|" "$2"
}
describe "$header" "$work/now.abi"
count=$(grep -c "<elf-symbol name='moe_" "$work/now.abi")
((count >= 50)) || fail "the description holds $count functions, expected 50 at least"
if [[ $mode == --freeze ]]; then cp "$work/now.abi" "$frozen"; exit; fi

# Bit 4: something differs, 8: in a way that breaks programs. Functions that are new break none.
abidiff --no-added-syms "$frozen" "$work/now.abi" || fail "the interface of 1.0 has changed; if all of it is fields at an end, see --freeze"

# The check can fail: a field in the middle, a type, a function that is gone.
mkdir "$work/changed"
refused() {  # SED-SCRIPT
  sed "$1" "$header" >"$work/changed/moe.h"
  ! cmp -s "$header" "$work/changed/moe.h" || fail "'$1' changes nothing"
  describe "$work/changed/moe.h" "$work/changed.abi"
  ! abidiff --no-added-syms "$frozen" "$work/changed.abi" >/dev/null || fail "not noticed: $1"
}
refused 's|^  int64_t layer_count;|  int64_t before;\n&|'
refused 's|int64_t top_k; |int32_t top_k; |'
refused '/^MOE_C_API int32_t moe_abi_version/d'
echo "$count functions"

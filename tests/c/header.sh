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
for standard in c89 c99 c11; do try tcc "$standard" "$work/unit.c"; done
for compiler in g++ clang++ clang++-14; do
  for standard in c++98 c++11 c++20; do try "$compiler" "$standard" "$work/unit.cpp"; done
done
((seen >= 7)) || fail "only $seen compilations, expected those of one compiler at least"
# Nothing that changes size between compilers stands in a struct, and no enum stands anywhere.
! grep -nE '\b(enum|bool|_Bool|long|unsigned|wchar_t)\b' "$include/moe.h" | grep -v '^[0-9]*: \*\|/\*' || fail "a type of no fixed size"

# What bindings read it with: cffi stands on pycparser.
functions=$(grep -oE '\bmoe_[a-z0-9_]+\(' "$include/moe.h" | sort -u | wc -l)
if python3 -c 'import pycparser' 2>/dev/null; then
  gcc -E -P -std=c99 '-D__attribute__(x)=' -I"$include" "$include/moe.h" >"$work/unit.i"
  read_functions=$(python3 - "$work/unit.i" <<'END'
import sys
from pycparser import c_ast, c_parser
tree = c_parser.CParser().parse(open(sys.argv[1]).read())
print(sum(isinstance(d, c_ast.Decl) and isinstance(d.type, c_ast.FuncDecl) for d in tree.ext))
END
  ) || fail "pycparser does not read the header"
  ((read_functions == functions)) || fail "pycparser reads $read_functions functions, expected $functions"
else
  echo "SKIPPED pycparser: python3-pycparser is not installed"
fi
echo "$seen compilations"

#!/usr/bin/env bash
# two_copies.sh PROGRAM LIBRARY MODEL: the program with the library and a copy of its file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$(readlink -f "$2")" "$work/copy.so"
"$1" "$2" "$work/copy.so" "$3"

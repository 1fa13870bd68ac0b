#!/usr/bin/env bash
# check_picture.sh MOE_EVAL SOURCE: the README's picture holds the numbers that the nano models have today.
set -euo pipefail
eval=$1 source=$2
command -v gnuplot >/dev/null || { echo "SKIPPED README's picture: gnuplot is not installed"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$source/scripts/picture" --draw "$eval" "$work/nano.svg"
numbers() { sed -n 's:.*<desc>\(.*\)</desc>.*:\1:p' "$1"; }
[[ -n $(numbers "$work/nano.svg") ]] || { echo "FAILED: the picture has no description"; exit 1; }
diff <(numbers "$source/docs/nano.svg") <(numbers "$work/nano.svg") ||
  { echo "FAILED: docs/nano.svg is not current: run scripts/picture"; exit 1; }

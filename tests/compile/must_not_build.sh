#!/usr/bin/env bash
# must_not_build.sh FILE COMPILER...: FILE builds with -DRIGHT; without it the compiler refuses and says what the file's
# "// expect: REGEX" line expects. A "// flags: ..." line is added to the second run alone.
set -euo pipefail
file=$1
shift
expect=$(sed -n 's,^// expect: ,,p' "$file")
read -ra flags <<<"$(sed -n 's,^// flags: ,,p' "$file")"
[[ -n $expect ]] || { echo "$file has no '// expect:' line"; exit 1; }

if ! said=$("$@" -DRIGHT "$file" 2>&1); then
  echo "the right use does not build:"$'\n'"$said"
  exit 1
fi
if said=$("$@" "${flags[@]}" "$file" 2>&1); then
  echo "the misuse builds"
  exit 1
fi
if ! grep -Eq "$expect" <<<"$said"; then
  echo "refused, but not for the reason expected ($expect):"$'\n'"$said"
  exit 1
fi

#!/usr/bin/env bash
# compare.sh DEBS DEBS: says where the packages in two folders differ; exit status 1 if any does.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($# == 2)) || die "expected DEBS DEBS, found $# arguments" 2
same=yes
compgen -G "$1/*.deb" >/dev/null || die "$1: no package found, expected some"
[[ $(cd "$1" && ls ./*.deb) == $(cd "$2" && ls ./*.deb) ]] || die "$2: found other packages than in $1, expected the same names" 1
for deb in "$1"/*.deb; do
  name=$(basename "$deb")
  if cmp -s "$deb" "$2/$name"; then
    echo "same    $name $(sha256sum <"$deb" | cut -d' ' -f1)"
    continue
  fi
  same=no
  echo "differs $name"
  work=$(mktemp -d)
  for side in 1 2; do
    dpkg-deb -R "${!side}/$name" "$work/$side"
    dpkg-deb -c "${!side}/$name" >"$work/list$side"
    (cd "$work/$side" && find . -type f -exec sha256sum {} + | sort -k 2) >"$work/sums$side"
  done
  diff "$work/sums1" "$work/sums2" | grep '^[<>]' || true
  diff "$work/list1" "$work/list2" | grep '^[<>]' | head -n 6 || true
  rm -rf "$work"
done
[[ $same == yes ]]

#!/usr/bin/env bash
# try_packages.sh ARCHIVE DEBS: installs the packages in the folder DEBS in a clean Debian 12 and uses them there: the
# programs on a nano model, projects in C++ and C, and the C library alone. Models and sources come from ARCHIVE.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($# == 2)) || die "expected ARCHIVE DEBS, found $# arguments" 2
archive=$(realpath "$1") debs=$(realpath "$2") dir=$trials/packages
version=$(basename "$archive" .tar.xz)
version=${version#libmoe-}
for package in libmoe-c1 libmoe-dev moe-tools; do
  compgen -G "$debs/${package}_$version-*_*.deb" >/dev/null || die "$debs: no ${package}_$version-*.deb found, expected one (scripts/release --debs)"
done

clean_root "$dir"
mkdir -p "$dir/packages" "$dir/work"
cp "$debs"/*_"$version"-*.deb "$dir/packages"
tar -C "$dir/work" --strip-components=1 -xf "$archive" --wildcards "*/models/nano" "*/examples"
cp "$root/packaging/use_packages.sh" "$dir/use_packages.sh"
# The totals are its last line.
in_root "$dir" bash /use_packages.sh "$version"

#!/usr/bin/env bash
# debs.sh ARCHIVE OUT WORK: unpacks the source archive in the folder WORK, builds its Debian packages there, and leaves
# them in OUT. `git` fails meanwhile, so that nothing asks it. CMAKE_BUILD_PARALLEL_LEVEL says how many compilers run.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($# == 3)) || die "expected ARCHIVE OUT WORK, found $# arguments" 2
archive=$(realpath "$1") out=$(realpath -m "$2") work=$(realpath -m "$3")
[[ -f $archive ]] || die "$archive: not found, expected a source archive (scripts/release makes it)"
ensure_packages "${build_packages[@]}" dpkg-dev file xz-utils

umask 022
rm -rf "$work"
mkdir -p "$work/no-git" "$out"
printf '#!/bin/sh\necho "git $*" >>%q\nexit 1\n' "$work/asked-git" >"$work/no-git/git"
chmod +x "$work/no-git/git"
tar -C "$work" -xf "$archive"
tree=$(echo "$work"/libmoe-*)
[[ ! -e $tree/.git ]] || die "$archive: holds .git, expected none"

# The archive's time is the commit's.
export SOURCE_DATE_EPOCH=$(stat -c %Y "$tree/CMakeLists.txt")
export PATH=$work/no-git:$PATH
unset CFLAGS CXXFLAGS CPPFLAGS LDFLAGS
(
  cd "$tree"
  cmake --preset package --log-level=NOTICE
  cmake --build --preset package
  cd build/package
  cpack -B "$PWD/packages"
) >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; die "the packages were not built: $work/log"; }
[[ ! -e $work/asked-git ]] || die "the build asked for $(head -n 1 "$work/asked-git"), expected no use of git"
cp "$tree"/build/package/packages/*.deb "$out"
# A path of the build machine in a binary would make it another one elsewhere.
for deb in "$tree"/build/package/packages/*.deb; do
  rm -rf "$work/look"
  dpkg-deb -x "$deb" "$work/look"
  ! named=$(grep -rlF -e "$work" "$work/look") || die "$(basename "$deb"): ${named#"$work/look"} names $work, expected no path of the build"
  rm -rf "$work/look"
  echo "$out/$(basename "$deb")"
done

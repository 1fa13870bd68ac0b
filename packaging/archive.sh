#!/usr/bin/env bash
# archive.sh OUT [REPOSITORY]: the source archive of the last commit, libmoe-VERSION.tar.xz, in the folder OUT.
# Its bytes depend on the commit and on the versions of git and xz alone: git gives every file the commit's time, the
# owner root and its place in the order of names; the user's umask and settings stay outside.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($# == 1 || $# == 2)) || die "expected OUT [REPOSITORY], found $# arguments" 2
out=$1 repository=${2-$root}
git -C "$repository" rev-parse -q --verify HEAD >/dev/null ||
  die "$repository: no commit found, expected a git repository (the archive is made of a commit)"
version=$(version_of <(git -C "$repository" show HEAD:CMakeLists.txt))
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "CMakeLists.txt: found version '$version', expected MAJOR.MINOR.PATCH"

mkdir -p "$out"
archive=$out/libmoe-$version.tar.xz
env -u GIT_ATTR_SOURCE git -C "$repository" -c tar.umask=0022 -c core.autocrlf=false -c core.attributesFile=/dev/null \
  archive --format=tar --prefix="libmoe-$version/" HEAD |
  XZ_OPT='' XZ_DEFAULTS='' xz -6 --threads=1 >"$archive.partial"
mv "$archive.partial" "$archive"
echo "$archive"

#!/usr/bin/env bash
# lint.sh DEBS: lintian over the packages in a folder. What it calls an error fails; warnings are shown. Ends with totals.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($# == 1)) || die "expected DEBS, found $# arguments" 2
compgen -G "$1/*.deb" >/dev/null || die "$1: no package found, expected some"
if ! (ensure_packages lintian); then
  leave_out "lintian: it cannot be installed"
  totals
  exit 0
fi
# No bug of Debian's is closed by a first upload; man pages are --help's work (docs/RELEASE.md).
for deb in "$1"/*.deb; do
  said=$(lintian --allow-root --no-cfg --suppress-tags initial-upload-closes-no-bugs,no-manual-page "$deb" 2>/dev/null || true)
  [[ -z $said ]] || echo "$said"
  if errors=$(grep -c '^E:' <<<"$said"); then
    failed_check "$(basename "$deb"): lintian found $errors errors, expected none"
  else
    ok "$(basename "$deb"): lintian has no error, $(grep -c '^W:' <<<"$said" || true) warnings"
  fi
done
totals
((failed == 0))

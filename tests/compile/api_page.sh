#!/usr/bin/env bash
# api_page.sh SOURCE: every installed header outside detail/ stands in docs/API.md, and every one that stands there exists.
set -euo pipefail
cd "$1"
listed=$(grep -oE '\.\./include/moe/[a-z0-9_/]+\.hpp' docs/API.md | sed 's|^\.\./include/||' | sort)
installed=$(cd include && find moe -name '*.hpp' -not -path 'moe/detail/*' -not -path moe/moe.hpp | sort)
difference=$(diff <(echo "$listed") <(echo "$installed") || true)
[[ -z $difference ]] || { echo "FAILED: docs/API.md (<) and include/moe (>) differ:"; echo "$difference"; exit 1; }

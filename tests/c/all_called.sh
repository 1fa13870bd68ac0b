#!/usr/bin/env bash
# all_called.sh HEADER PROGRAM...: the programs call every function that the header declares.
set -euo pipefail
header=$1 && shift
missing=() count=0
for name in $(grep -oE '\bmoe_[a-z0-9_]+\(' "$header" | grep -v '^moe_status(' | tr -d '(' | sort -u); do
  count=$((count + 1))
  grep -qE "\b$name\(" "$@" || missing+=("$name")
done
((${#missing[@]} == 0)) || { echo "FAILED: not called: ${missing[*]}"; exit 1; }
((count >= 50)) || { echo "FAILED: found $count functions in $header, expected 50 at least"; exit 1; }
echo "$count functions"

#!/usr/bin/env bash
# run_blocks.sh FOLDER PACKAGE...: what try_readme.sh runs inside the clean Debian: the scripts in /blocks, in the
# unpacked archive at FOLDER, after installing the packages. Ends with totals.
set -uo pipefail
folder=$1 passed=0 failed=0
shift
export DEBIAN_FRONTEND=noninteractive
cd "$folder" || exit 3
{ apt-get update && apt-get install -y --no-install-recommends "$@"; } >/tmp/log 2>&1 || { tail -n 20 /tmp/log; exit 3; }
echo "installed beforehand: $*"
for block in /blocks/*.sh; do
  line=$(basename "$block" .sh) started=$SECONDS
  status=0
  bash -euo pipefail "$block" </dev/null >"/blocks/$line.log" 2>&1 || status=$?
  if ((status == 0)); then
    passed=$((passed + 1)); echo "ok      README.md:$((10#$line)) in $((SECONDS - started)) s: $(grep . "/blocks/$line.log" | tail -n 1)"
  else
    failed=$((failed + 1)); echo "FAILED  README.md:$((10#$line)): exit status $status"; cat "$block"; echo "--- its output ends with"; tail -n 30 "/blocks/$line.log"
  fi
done
echo "$passed passed, $failed failed, 0 skipped"
((failed == 0))

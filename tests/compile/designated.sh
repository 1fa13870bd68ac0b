#!/usr/bin/env bash
# designated.sh SOURCE: designated.cpp names every struct of the public headers. Left out: what has constructors, and what
# namespace detail holds.
set -euo pipefail
cd "$1"
missing=0
for name in $(cat include/moe/*.hpp include/moe/eval/*.hpp | sed -nE 's/^struct (MOE_API )?([A-Za-z]+).*\{$/\2/p' |
  sort -u | grep -vxE 'MatrixView|MetricColumn|BestList'); do
  grep -qE "(moe|eval)::$name [a-z_]+\{\." tests/compile/designated.cpp || { echo "FAILED: $name is not in designated.cpp"; missing=1; }
done
exit $missing

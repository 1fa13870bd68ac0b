#!/usr/bin/env bash
# designated.sh SOURCE: designated.cpp names every struct of the public headers. Left out: what has constructors, and what
# namespace detail holds.
set -euo pipefail
cd "$1"
missing=0
check() {  # NAMESPACE HEADER...
  local space=$1 name
  shift
  for name in $(cat "$@" | sed -nE 's/^struct (MOE_API )?([A-Za-z]+).*\{$/\2/p' | sort -u | grep -vxE 'MatrixView|MetricColumn|BestList'); do
    grep -qE " $space::$name [a-z_]+\{\." tests/compile/designated.cpp || { echo "FAILED: $space::$name is not in designated.cpp"; missing=1; }
  done
}
check moe $(ls include/moe/*.hpp | grep -v /serve.hpp)
check serve include/moe/serve.hpp
check eval include/moe/eval/*.hpp
exit $missing

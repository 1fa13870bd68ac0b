#!/usr/bin/env bash
# program_includes.sh SOURCE: programs and examples stand on the public headers, as any host does. Beside them they share
# src/common/support/, which knows no model; moe-stages and moe-eval-stages bring MPI along. bench/micro measures the
# library's inside and may look there.
set -euo pipefail
cd "$1"
public='moe/(eval/)?[a-z0-9_]+\.hpp'
strangers=$(find tools bench examples \( -name '*.cpp' -o -name '*.hpp' \) -not -path 'bench/micro/*' -print0 |
  xargs -0 grep -HnE '#include *["<](moe|support|kernels|src|tests|[a-z_]+)/' |
  grep -vE "#include *[\"<]($public|support/[a-z0-9_]+\.hpp|mpi/mpi_transport\.hpp|(tools|bench)/[a-z_/]+\.hpp|(CLI|fmt|nlohmann|sys|editline)/[a-z_]+\.?[a-z]*)[\">]" || true)
[[ -z $strangers ]] || { echo "FAILED: a program includes what is not public:"; echo "$strangers"; exit 1; }
# And support/ stands on nothing but error values.
strangers=$(grep -nE '#include "' src/common/support/*.cpp src/common/support/*.hpp | grep -vE '"(support/[a-z0-9_]+|moe/error|moe/unfinished_files)\.hpp"' || true)
[[ -z $strangers ]] || { echo "FAILED: support/ includes what is not its own:"; echo "$strangers"; exit 1; }

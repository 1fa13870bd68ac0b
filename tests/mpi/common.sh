# What the tests of processes that mpirun starts have in common; sourced. Makes "$folder", which goes at the end.
if ! command -v mpirun > /dev/null; then
  echo "SKIPPED processes of mpirun: it is not installed (Debian: openmpi-bin)"
  exit 0
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
wrong() {
  echo "WRONG $1"
  failed=1
}
mpi() { timeout 60 mpirun "$@"; }
# end WHAT: the last line of a test.
end() {
  [ "$failed" = 0 ] && echo "$1: right"
  exit "$failed"
}

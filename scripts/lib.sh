# Shared by the commands in this folder; sourced, never run. Everything said here goes to stderr, so that a command's
# stdout carries its result alone.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
trap 'echo "interrupted" >&2; exit 130' INT TERM

# How often an OpenMP worker looks for work before it sleeps (GNU's library). Its default, milliseconds of looking, costs a small model
# minutes instead of seconds where another program wants the same cores, since each waits for the other's turn.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-2000}

say() { echo "$(basename "$0"): $*" >&2; }
die() { say "$1"; exit "${2:-3}"; }

# What a build of everything needs (docs/ARCHITECTURE.md says what for).
build_packages=(cmake ninja-build g++ pkg-config libxsimd-dev libeigen3-dev libexpected-dev nlohmann-json3-dev
  libpcre2-dev libutf8proc-dev libsqlite3-dev libssl-dev libcli11-dev libfmt-dev doctest-dev libbenchmark-dev zlib1g-dev libedit-dev libboost-dev
  gnuplot-nox)
# What a build by clang with sanitizers needs more; llvm is what puts names and lines into their reports.
clang_packages=(clang libclang-rt-dev libomp-dev llvm)

# Installs the Debian packages that are missing, and only those; without a missing one it needs no network and no root.
ensure_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "this is not a Debian system: these packages, or what they are called here, must be installed: $*"
    return
  fi
  local missing=() package
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0

  say "installing missing Debian packages: ${missing[*]}"
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "not root and no sudo: run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  # The package lists may be absent, or too old for the mirror: then fetch them, once.
  if ! apt-get install --simulate -qq "${missing[@]}" >/dev/null 2>&1 || ! apt_install "${missing[@]}"; then
    "${as_root[@]}" apt-get update -qq >&2 || die "apt-get update failed (is there a network?); missing: ${missing[*]}"
    apt_install "${missing[@]}" || die "apt-get install failed; missing: ${missing[*]}"
  fi
}

# Its errors are shown, its long story is not.
apt_install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Compilers run behind ccache, where it is installed. What one tree has compiled another takes from there, if it lies as
# deep: the wheel of the Python package consists of the library that build/release has.
use_ccache() {
  command -v ccache >/dev/null || return 0
  export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache} CCACHE_BASEDIR=${CCACHE_BASEDIR:-$root} CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1
}

# build PRESET [TARGET...]: configures when that was never done, then builds what is out of date.
build() {
  local preset=$1 && shift
  local tree=$root/build/$preset
  if [[ ! -f $tree/build.ninja ]]; then
    say "configuring $tree"
    cmake -S "$root" --preset "$preset" --log-level=NOTICE >&2 || die "the configuration failed"
  fi
  say "building in $tree"
  cmake --build "$tree" ${*:+--target "$@"} >&2 || die "the build failed"
}

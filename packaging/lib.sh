# Shared by scripts/release and the scripts beside this file; sourced, never run.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

files=$root/build/release-files  # what is published
trials=$root/build/release-trial # where it is tried

passed=0 failed=0 skipped=0
# Each check says one of these. failed_check: ITEM: found X, expected Y.
ok() { passed=$((passed + 1)); echo "ok      $*"; }
failed_check() { failed=$((failed + 1)); echo "FAILED  $*"; }
leave_out() { skipped=$((skipped + 1)); echo "SKIPPED $*"; }
totals() { echo "$passed passed, $failed failed, $skipped skipped"; }

# The only place of the version is the line project() of CMakeLists.txt.
version_of() { sed -nE 's/^project\(libmoe VERSION ([^ )]+).*/\1/p' "$1"; }

# A root directory with a fresh Debian 12 of the smallest kind:  clean_root DIR
# debootstrap runs once; its result is kept beside the trials.
clean_root() {
  local dir=$1 kept=$trials/debian12.tar
  ((EUID == 0)) || die "a clean Debian 12 folder needs root: debootstrap and chroot"
  ensure_packages debootstrap
  mkdir -p "$trials"
  if [[ ! -f $kept ]]; then
    say "debootstrap: a minimal Debian 12"
    rm -rf --one-file-system "$trials/debootstrap"
    debootstrap --variant=minbase bookworm "$trials/debootstrap" http://deb.debian.org/debian >"$trials/debootstrap.log" 2>&1 ||
      die "debootstrap failed: $trials/debootstrap.log"
    tar -C "$trials/debootstrap" --one-file-system -cf "$kept.partial" . && mv "$kept.partial" "$kept"
    rm -rf --one-file-system "$trials/debootstrap"
  fi
  rm -rf --one-file-system "$dir"
  mkdir -p "$dir"
  tar -C "$dir" -xf "$kept"
  # The network of this machine: names, and what PIP_CERT names where connections are looked into.
  cp -L /etc/resolv.conf /etc/hosts "$dir/etc/"
  if [[ -f ${PIP_CERT-} ]]; then
    mkdir -p "$dir/etc/ssl/certs"
    cp -L "$PIP_CERT" "$dir/etc/ssl/certs/host-ca.crt"
  fi
}

# in_root DIR COMMAND...: runs it there as root with an environment of its own. Mounts and processes end with it.
in_root() {
  local dir=$1 pass=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8) name
  shift
  [[ ! -f $dir/etc/ssl/certs/host-ca.crt ]] || pass+=(PIP_CERT=/etc/ssl/certs/host-ca.crt)
  for name in http_proxy https_proxy no_proxy CMAKE_BUILD_PARALLEL_LEVEL; do
    [[ -z ${!name-} ]] || pass+=("$name=${!name}")
  done
  # MOE_TRIAL_CCACHE=DIR: a compiler cache, for quick trials of these scripts; whoever sets it says so.
  if [[ -n ${MOE_TRIAL_CCACHE-} ]]; then
    mkdir -p "$dir/ccache"
    pass+=(CCACHE_DIR=/ccache CCACHE_BASEDIR=/work CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=20G CMAKE_CXX_COMPILER_LAUNCHER=ccache
      CMAKE_C_COMPILER_LAUNCHER=ccache)
  fi
  unshare --mount --pid --fork --kill-child bash -euc '
    dir=$1 ccache=$2; shift 2
    mount -t proc proc "$dir/proc"
    mount --rbind /dev "$dir/dev"
    [[ -z $ccache ]] || mount --bind "$ccache" "$dir/ccache"
    exec chroot "$dir" env -i "$@"' in_root "$dir" "${MOE_TRIAL_CCACHE-}" "${pass[@]}" "$@"
}

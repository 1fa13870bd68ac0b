#!/usr/bin/env bash
# try_readme.sh ARCHIVE [FOLDER]: every command of README.md in a clean Debian 12, in the unpacked source archive, which
# lies at FOLDER there (/root/libmoe). What the scripts of the tree do not install is named first.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($# == 1 || $# == 2)) || die "expected ARCHIVE [FOLDER], found $# arguments" 2
archive=$(realpath "$1") folder=${2-/root/libmoe} dir=$trials/readme
ensure_packages python3
clean_root "$dir"
mkdir -p "$dir$folder" "$dir/blocks"
tar -C "$dir$folder" --strip-components=1 -xf "$archive"
python3 "$root/packaging/readme_blocks.py" "$dir$folder" "$dir/blocks" >&2

# The README's reader has curl for "any client", and Python with its headers for the Python package (docs/PYTHON.md).
extra=(curl python3-venv python3-dev)
[[ -z ${MOE_TRIAL_CCACHE-} ]] || extra+=(ccache)
cp "$root/packaging/run_blocks.sh" "$dir/"
in_root "$dir" bash /run_blocks.sh "$folder" "${extra[@]}"

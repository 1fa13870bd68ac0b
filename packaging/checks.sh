# What scripts/release --check looks at in seconds; sourced by it. `version` is CMakeLists.txt's.

cheap_checks() {
  check_versions
  check_changelog
  check_tree
  check_machine_flags
  check_archive
}

# same ITEM FOUND EXPECTED
same() {
  if [[ $2 == "$3" ]]; then ok "$1: ${2:-none}"; else failed_check "$1: found '${2:-none}', expected '${3:-none}'"; fi
}

# mentions TITLE EXPECTED PERL-REGEX PATH...: every version that tracked files at these paths say, which \K begins.
mentions() {
  local title=$1 expected=$2 pattern=$3 found line wrong=0 count=0
  shift 3
  found=$(cd "$root" && git grep -noP -e "$pattern" -- "$@" || true)
  while IFS= read -r line; do
    [[ -n $line ]] || continue
    count=$((count + 1))
    [[ ${line##*:} == "$expected" ]] && continue
    wrong=$((wrong + 1))
    failed_check "$title: found ${line##*:} in ${line%:*}, expected $expected"
  done <<<"$found"
  if ((count == 0)); then
    failed_check "$title: found no mention, expected some: the pattern of this check is stale"
  elif ((wrong == 0)); then
    ok "$title: $expected in $count places"
  fi
}

# CMake gives the version to programs, libraries, moe.pc and moe-config.cmake (--full asks them); texts say it by hand.
check_versions() {
  local regex
  regex=$(sed -nE "s/^regex = '(.*)'$/\1/p" "$root/pyproject.toml")
  regex=${regex/'(?P<value>'/'\K(?:'}
  same "pyproject.toml: version by its regex" "$(grep -oP -e "${regex:-(*FAIL)}" "$root/CMakeLists.txt" || true)" "$version"
  same "pyproject.toml: version of its own" "$(grep -cE '^version *=' <(sed '/^\[tool/,$d' "$root/pyproject.toml") || true)" 0
  mentions "moe.h: moe_version()" "$version" '^/\* "\K[0-9.]+(?=" \*/)' include/moe.h
  mentions "documents: **libmoe** VERSION" "$version" '\*\*libmoe\*\* \K[0-9]+\.[0-9]+(\.[0-9]+)?' '*.md'
  mentions "documents: libmoe-VERSION.tar.xz" "$version" 'libmoe-\K[0-9]+\.[0-9]+\.[0-9]+(?=\.tar)' '*.md'
  mentions "documents: cd libmoe-VERSION" "$version" 'cd libmoe-\K[0-9]+\.[0-9]+\.[0-9]+' '*.md'
  mentions "documents: moe-tools_VERSION" "$version" 'moe-tools_\K[0-9]+\.[0-9]+\.[0-9]+' '*.md'
  mentions "documents: git tag vVERSION" "$version" 'tag -a v\K[0-9]+\.[0-9]+\.[0-9]+' '*.md' scripts/release
  mentions "find_package(moe MAJOR.MINOR)" "${version%.*}" 'find_package\(moe \K[0-9][0-9.]*' '*.md' examples
  local literal
  literal=$(cd "$root" && git grep -nE 'MOE_VERSION *=? *"[0-9]' -- '*.cpp' '*.hpp' '*.h' '*CMakeLists.txt' '*.cmake' || true)
  same "sources: MOE_VERSION by hand" "$literal" ""
}

check_changelog() {
  local first lines
  first=$(grep -m 1 '^## ' "$root/CHANGELOG.md" || true)
  if [[ ! $first =~ ^"## $version ("([0-9]{4}-[0-9]{2}-[0-9]{2})")"$ ]]; then
    failed_check "CHANGELOG.md: found '$first' as the first section, expected '## $version (YYYY-MM-DD)'"
  elif ! date -d "${BASH_REMATCH[1]}" >/dev/null 2>&1; then
    failed_check "CHANGELOG.md: found the date ${BASH_REMATCH[1]}, expected one of the calendar"
  else
    ok "CHANGELOG.md: $first"
  fi
  same "CHANGELOG.md: sections of $version" "$(grep -cE "^## $version( |$)" "$root/CHANGELOG.md" || true)" 1
  lines=$(notes | grep -c . || true)
  if ((lines > 0)); then ok "release notes: $lines lines"; else failed_check "release notes: found none, expected lines in CHANGELOG.md"; fi
}

check_tree() {
  local changed tagged
  changed=$(git -C "$root" status --porcelain | sed -n 1,3p | tr '\n' ';')
  same "tree: changes that are not committed" "$changed" ""
  tagged=$(git -C "$root" rev-parse -q --verify "v$version^{commit}" || true)
  if [[ -z $tagged ]]; then
    ok "tag v$version: not made yet"
  else
    same "tag v$version" "$tagged" "$(git -C "$root" rev-parse HEAD)"
  fi
}

# Binaries must run on every processor of the architecture: kernels are chosen at run time, and only the units of
# kernels/isa have flags of an instruction set.
check_machine_flags() {
  local found
  found=$(cd "$root" && git grep -nE -e '-m(arch|tune|cpu)=native|-m(avx|fma|amx|arch=)' -- '*CMakeLists.txt' '*.cmake' CMakePresets.json pyproject.toml ':!kernels/isa' || true)
  same "build files: flags of one machine outside kernels/isa" "$found" ""
  found=$(cd "$root" && git grep -nE -e '=native' -- kernels/isa/CMakeLists.txt || true)
  same "kernels/isa: flags of this machine" "$found" ""
}

check_archive() {
  local again work
  mkdir -p "$trials"
  work=$(mktemp -d "$trials/check.XXXXXX")
  if ! archive=$("$root/packaging/archive.sh" "$files"); then
    failed_check "archive: could not be made"
    rm -rf "$work"
    return
  fi
  # A clone without settings, under another mask, time zone and language.
  git clone -q --no-checkout "$root" "$work/clone"
  again=$(umask 077 && TZ=Pacific/Auckland LC_ALL=C "$root/packaging/archive.sh" "$work" "$work/clone")
  same "archive: SHA-256 of one made again in a clone" "$(sha256sum <"$again" | cut -d' ' -f1)" "$(sha256sum <"$archive" | cut -d' ' -f1)"
  mkdir "$work/tree"
  tar -C "$work/tree" -xf "$archive"
  check_contents "$work/tree/libmoe-$version"
  rm -rf "$work"
}

# The archive holds what is committed, and nothing of the reference data, which is not the project's.
check_contents() {
  local tree=$1 found
  same "archive: files that are not the commit's, or are missing" \
    "$(diff <(cd "$tree" && find . ! -type d | sed 's,^\./,,' | sort) <(git -C "$root" ls-tree -r --name-only HEAD | sort) | grep -c '^[<>]' || true)" 0
  same "archive: files over 4 MiB" "$(cd "$tree" && find . -type f -size +4M | head -n 3)" ""
  same "archive: links" "$(cd "$tree" && find . -type l | head -n 3)" ""
  found=$(cd "$tree" && find . -type f \( -name '*.gguf' -o -name '*.safetensors' -o -name '*.npy' -o -name '*.npz' -o -name '*.bin' \) \
    ! -path './models/nano/*' ! -path './tests/*' | head -n 3)
  same "archive: model files outside models/nano and tests" "$found" ""
  if [[ ! -d $root/../shared/data ]]; then
    leave_out "archive: no reference data beside the tree to compare with"
    return
  fi
  found=$(cd "$root/../shared" && find data realgold tokenizers templates -type f -size +0 -exec sha256sum {} + | sort)
  found=$(join -o 1.2,2.2 <(cd "$tree" && find . -type f -size +0 -exec sha256sum {} + | sort) - <<<"$found" | sed -n 1,3p)
  same "archive: files of the reference data" "$found" ""
}

#!/usr/bin/env bash
# use_packages.sh VERSION: what try_packages.sh runs inside the clean Debian: packages in /packages, models and examples
# in /work. Ends with totals.
set -uo pipefail
version=$1 passed=0 failed=0
export DEBIAN_FRONTEND=noninteractive
export GOMP_SPINCOUNT=2000  # as scripts/lib.sh: threads that wait do not keep a busy machine's cores
cd /work

# try WHAT EXPECTED COMMAND...: its output must hold the regular expression.
try() {
  local what=$1 expected=$2 said status=0
  shift 2
  said=$("$@" 2>&1) || status=$?
  if ((status == 0)) && grep -qE -e "$expected" <<<"$said"; then
    passed=$((passed + 1)); echo "ok      $what: $(grep -m 1 -E -e "$expected" <<<"$said")"
  else
    failed=$((failed + 1)); echo "FAILED  $what: exit status $status, found '$(tail -n 5 <<<"$said")', expected 0 and '$expected'"
  fi
}

# install PACKAGE...: without what is only recommended; prints how many packages came.
install() { apt-get install -y --no-install-recommends "$@" && echo "installed: $*"; }

# ask PATH [JSON]: of moe-serve, without curl.
ask() {
  local body=${2-} method=GET
  [[ -z $body ]] || method=POST
  exec 3<>/dev/tcp/127.0.0.1/8080
  printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
    "$method" "$1" "${#body}" "$body" >&3
  cat <&3
  exec 3<&-
}

number="${version//./\\.}"
try "apt-get update" . bash -c 'apt-get update && echo done'

nano=models/nano/nano-moe
try "moe-tools installs" '^installed' install /packages/moe-tools_*.deb
for program in moe-run moe-serve moe-eval moe-quantize moe-inspect moe-bench; do
  try "$program --version" "^$program $number\$" "$program" --version
done
try "moe-inspect" 'parameters' moe-inspect "$nano"
try "moe-run" . moe-run --model "$nano" --prompt 'In which month' -n 8
try "moe-eval, the nano exam" '87\.91' moe-eval --model "nano-moe=$nano" --tasks models/nano/nano_exam.jsonl --out /tmp/run
try "moe-eval, report" 'html' ls /tmp/run/report.html
try "moe-eval knows the built-in tasks" 'hellaswag' moe-eval --help
try "moe-quantize" . bash -c "moe-quantize $nano /tmp/nano.gguf --type q8_0 && moe-inspect /tmp/nano.gguf"
try "moe-bench" 'tokens' moe-bench --model /tmp/nano.gguf --no-peaks --pp 16 --tg 8 --reps 1
moe-serve --model "$nano" --alias nano >/tmp/serve.log 2>&1 &
server=$!
for ((i = 0; i < 300; ++i)); do grep -q ' serves ' /tmp/serve.log && break; sleep 0.2; done
try "moe-serve, /version" "\"version\": ?\"$number\"" ask /version
try "moe-serve, a completion" '"text"' ask /v1/completions '{"model":"nano","prompt":"In which month","max_tokens":8,"temperature":0}'
kill "$server"; wait "$server" 2>/dev/null

try "libmoe-dev installs beside g++, cmake and make" '^installed' install /packages/libmoe-c1_*.deb /packages/libmoe-dev_*.deb g++ cmake make
try "pkg-config moe" "^$number\$" pkg-config --modversion moe
try "pkg-config moe_c" "^$number\$" pkg-config --modversion moe_c
sed -i "s/find_package(moe 0.1 /find_package(moe $version EXACT /" examples/consumer/CMakeLists.txt
try "C++: find_package(moe $version EXACT)" 'Built target consumer' \
  bash -c 'cmake -S examples/consumer -B /tmp/consumer && cmake --build /tmp/consumer'
try "C++: the program runs" 'token [0-9]+ follows' /tmp/consumer/consumer "$nano"
try "C++: moe::headers alone" '^[0-9]+ FLOPs$' /tmp/consumer/route
try "C++: pkg-config moe" 'token [0-9]+ follows' \
  bash -c "g++ -std=c++20 examples/consumer/main.cpp \$(pkg-config --cflags --libs moe) -o /tmp/by_pkg_config && /tmp/by_pkg_config $nano"
try "C: pkg-config moe_c" . \
  bash -c "gcc examples/generate.c \$(pkg-config --cflags --libs moe_c) -o /tmp/generate && /tmp/generate $nano 'In which month'"
printf '#include <moe.h>\n#include <stdio.h>\nint main(void) { return puts(moe_version()) < 0; }\n' >/tmp/version.c
try "C: moe_version()" "^$number\$" bash -c 'gcc /tmp/version.c $(pkg-config --cflags --libs moe_c) -o /tmp/version && /tmp/version'
try "libmoe_c.so.1 needs no GLIBC newer than Debian 12" '^ok$' \
  bash -c '! objdump -T /usr/lib/*/libmoe_c.so.1 | grep -oE "GLIBC_2\.[0-9]+" | sort -Vu | tail -n 1 | grep -vE "GLIBC_2\.([0-9]|[12][0-9]|3[0-6])$" && echo ok'

try "the C program needs libmoe-c1 alone" "^$number\$" \
  bash -c 'apt-get purge -y libmoe-dev >/dev/null && apt-get autoremove -y --purge >/dev/null && /tmp/version'
try "nothing is left when all are purged" '^ok$' bash -c 'apt-get purge -y libmoe-c1 moe-tools >/dev/null &&
  left=$(find /usr /etc /var/lib -path "*moe-*" -o -name "libmoe*"); [[ -z $left ]] && echo ok || { echo "$left"; false; }'
echo "$passed passed, $failed failed, 0 skipped"
((failed == 0))

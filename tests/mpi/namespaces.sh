#!/bin/bash
# Stages in two network namespaces, over TCP through a line that delays each packet by 0.3 ms, as a network does: logits
# and samples of one process, byte for byte.
# usage: namespaces.sh SOURCE_DIR DELAY_LINE MOE_RUN MOE_STAGES MOE_EVAL MOE_EVAL_STAGES
set -u
source "$(dirname "$0")/common.sh"
model=$1/models/nano/nano-moe line=$2 run=$3 stages=$4 eval=$5 eval_stages=$6
near=moe_near_$$ far=moe_far_$$ job=
skip() {
  echo "SKIPPED stages in network namespaces: $1"
  exit 0
}
command -v ip > /dev/null || skip "no ip (Debian: iproute2)"
# Those of a test that was killed.
for old in $(ip netns list | grep -o '^moe_\(near\|far\)_[0-9]*'); do
  [ -d "/proc/${old##*_}" ] || ip netns del "$old"
done
ip netns add "$near" 2> "$folder/errors" || skip "this user cannot make any ($(head -n 1 "$folder/errors"))"
trap '[ -z "$job" ] || kill "$job"; ip netns del "$near"; ip netns del "$far" 2> /dev/null; rm -rf "$folder"' EXIT
ip netns add "$far" || wrong "no second namespace"
"$line" "$near" moe0 "$far" moe0 300 > "$folder/line" 2> "$folder/errors" &
job=$!
for _ in $(seq 50); do
  grep -q ready "$folder/line" && break
  kill -0 "$job" 2> /dev/null || { job="" && skip "no TUN device ($(cat "$folder/errors"))"; }
  sleep 0.1
done
ends=("$near" 10.77.0.1 "$far" 10.77.0.2)
for i in 0 2; do
  ip -n "${ends[i]}" addr add "${ends[i + 1]}/24" dev moe0 && ip -n "${ends[i]}" link set lo up && ip -n "${ends[i]}" link set moe0 up ||
    wrong "the line's end in ${ends[i]} does not start"
done

# mpirun's daemon on the far side, where ssh would start it.
printf '#!/bin/bash\nshift\nexec ip netns exec %s bash -c "$*"\n' "$far" > "$folder/agent"
chmod +x "$folder/agent"
across() {
  timeout 30 ip netns exec "$near" mpirun --mca plm_rsh_agent "$folder/agent" --mca btl tcp,self --mca btl_tcp_if_include moe0 \
    --mca oob_tcp_if_include moe0 --host 10.77.0.1:1,10.77.0.2:"$(($1 - 1))" -n "$@"
}

ids=$(seq -s' ' 3 3 300)
"$run" --model "$model" --tokens "$ids" -n 0 --logits "$folder/one.npy" 2> "$folder/errors" || wrong "moe-run: $(cat "$folder/errors")"
reply=$("$run" --model "$model" --tokens "$ids" -n 20 2> /dev/null)
for n in 2 3; do
  got=$(across "$n" "$stages" --model "$model" --threads 1 --tokens "$ids" -n 20 --chunk 16 --logits "$folder/many.npy" 2> "$folder/errors") ||
    wrong "$n stages: $(cat "$folder/errors")"
  cmp "$folder/one.npy" "$folder/many.npy" || wrong "logits of $n stages"
  [ "$got" = "$reply" ] || wrong "reply of $n stages: $got, expected $reply"
  rm -f "$folder/many.npy"
done
# 100 tokens' hidden states of 64 numbers and more, twice.
bytes=$(ip -n "$far" -s -j link show moe0 | sed -n 's/.*"rx":{"bytes":\([0-9]*\).*/\1/p')
[ "${bytes:-0}" -gt 51200 ] || wrong "only ${bytes:-no} bytes crossed the line"

exam=(--model "nano=$model" --tasks "$1/models/nano/nano_exam.jsonl" --limit 5 --threads 1)
"$eval" "${exam[@]}" --out "$folder/one" > /dev/null 2> "$folder/errors" || wrong "moe-eval: $(cat "$folder/errors")"
across 2 "$eval_stages" "${exam[@]}" --out "$folder/two" > /dev/null 2> "$folder/errors" || wrong "moe-eval-stages: $(cat "$folder/errors")"
cmp "$folder"/one/*/samples_* "$folder"/two/*/samples_* || wrong "samples over two namespaces"
end "stages in two network namespaces"

#!/bin/bash
# moe-stages and moe-eval-stages over mpirun on this machine: logits, replies and samples of one process, byte for byte,
# and what happens to a stage that does not fit, dies or stops.
# usage: stages.sh SOURCE_DIR MOE_RUN MOE_STAGES MOE_EVAL MOE_EVAL_STAGES
set -u
source "$(dirname "$0")/common.sh"
source=$1 run=$2 stages=$3 eval=$4 eval_stages=$5

ids=$(seq -s' ' 3 3 400) text="Numbers and words"
for model in "$source"/models/nano/nano-moe "$source"/tests/data/golden/qwen3_moe "$source"/tests/data/golden/deepseek_v3_yarn; do
  layers=$(sed -n 's/.*"num_hidden_layers": *\([0-9]*\).*/\1/p' "$model/config.json")
  some=$ids
  [ "$(basename "$model")" = nano-moe ] || some=$(seq -s' ' 1 1 40)
  "$run" --model "$model" --tokens "$some" -n 0 --logits "$folder/one.npy" 2> /dev/null || wrong "moe-run $model"
  reply=$("$run" --model "$model" --tokens "$some" -n 6 2> /dev/null)
  for n in 2 3; do
    [ "$n" -le "$layers" ] || continue
    for chunk in 16 512; do
      rm -f "$folder/many.npy"
      got=$(mpi -n "$n" "$stages" --model "$model" --threads 1 --tokens "${some// /,}" -n 6 --chunk "$chunk" \
        --logits "$folder/many.npy" 2> "$folder/errors") || wrong "$model, $n stages: $(cat "$folder/errors")"
      cmp "$folder/one.npy" "$folder/many.npy" || wrong "logits of $model, $n stages, chunks of $chunk"
      [ "$got" = "$reply" ] || wrong "reply of $model, $n stages: $got, expected $reply"
    done
  done
done

# same_text MODEL: a text's logits and reply. The logits have a row for each token, a BOS that is added (deepseek_v3_yarn)
# included.
same_text() {
  "$run" --model "$1" --prompt "$text" -n 0 --logits "$folder/one.npy" 2> "$folder/errors" || wrong "moe-run $1: $(cat "$folder/errors")"
  "$run" --model "$1" --prompt "$text" -n 12 > "$folder/one.txt" 2> "$folder/one.err" || wrong "moe-run $1: $(cat "$folder/one.err")"
  rm -f "$folder/many.npy"
  mpi -n 2 "$stages" --model "$1" --threads 1 --prompt "$text" -n 12 --logits "$folder/many.npy" > "$folder/many.txt" 2> "$folder/errors" ||
    wrong "$1, a text: $(cat "$folder/errors")"
  cmp "$folder/one.npy" "$folder/many.npy" || wrong "logits of a text, $1"
  cmp "$folder/one.txt" "$folder/many.txt" || wrong "reply to a text, $1"
}
same_text "$source/models/nano/nano-moe"
same_text "$source/tests/data/golden/deepseek_v3_yarn"
# A reply that ends at an end token, which is not printed: the fourth token of the reply becomes one.
cp -r "$source/models/nano/nano-moe" "$folder/ends"
printf '{"bos_token": "<|bos|>", "add_bos_token": true}' > "$folder/ends/tokenizer_config.json"
some=$("$run" --model "$folder/ends" --prompt "$text" --show-prompt 2>&1 > /dev/null | sed -n 's/^[0-9]* tokens: //p')
[ "${some%% *}" = 0 ] || wrong "no BOS: $some"
last=$("$run" --model "$folder/ends" --tokens "$some" -n 4 2> /dev/null)
printf '{"eos_token_id": [1, %s]}' "${last##* }" > "$folder/ends/generation_config.json"
same_text "$folder/ends"
grep -q "; generated 12 tokens" "$folder/one.err" && wrong "no end token: $last"
# At the end of the context, of 256 tokens.
model=$source/tests/data/golden/qwen3_moe some=$(seq -s' ' 1 250)
reply=$("$run" --model "$model" --tokens "$some" -n 100 2> /dev/null)
got=$(mpi -n 2 "$stages" --model "$model" --threads 1 --tokens "$some" -n 100 2> "$folder/errors") || wrong "a long prompt: $(cat "$folder/errors")"
[ "$got" = "$reply" ] || wrong "reply at the context's end: $got, expected $reply"

model=$source/models/nano/nano-moe
common=(--model "$model" --threads 1 --tokens 5)
mpi -n 1 "$stages" "${common[@]}" -n 4 : -n 1 "$stages" "${common[@]}" -n 4 --kv q8_0 > "$folder/out" 2>&1 &&
  wrong "another cache was accepted"
grep -q "stage 1 has cache 'q8_0', stage 0 has cache 'f16'" "$folder/out" || wrong "another cache: $(cat "$folder/out")"
mpi -n 2 "$stages" "${common[@]}" -n 4 --canary 0123456789abcdef > "$folder/out" 2>&1 && wrong "a canary was accepted"
grep -q "the canary is" "$folder/out" || wrong "a canary: $(cat "$folder/out")"

# signalled SIGNAL STAGE PROGRAM...: a signal for the process of one of 3 stages, which is known by a --wait that no other
# test has, when it begins to compute. Sets status.
wait=1.$$
signalled() {
  local signal=$1 stage=$2 name=$(basename "$3")
  shift 2
  mpi -n 3 "$@" --wait "$wait" > "$folder/out" 2>&1 &
  local job=$! pid="" began=$SECONDS
  for _ in $(seq 200); do
    sleep 0.05
    grep -q canary "$folder/out" || continue
    for p in $(pgrep -x "$name"); do
      tr '\0' ' ' < "/proc/$p/cmdline" 2> /dev/null | grep -qF -- "--wait $wait " && grep -qz "OMPI_COMM_WORLD_RANK=$stage" "/proc/$p/environ" && pid=$p
    done
    break
  done
  [ -n "$pid" ] || wrong "no process of stage $stage was found: $(cat "$folder/out")"
  kill "-$signal" "$pid"
  wait "$job"
  status=$?
  [ "$status" != 0 ] || wrong "signal $signal went unnoticed"
  [ $((SECONDS - began)) -lt 40 ] || wrong "signal $signal was noticed after $((SECONDS - began)) seconds"
  kill -CONT "$pid" 2> /dev/null
}
long=("$stages" "${common[@]}" -n 100000 --max-tokens 120000)
signalled KILL 2 "${long[@]}"
signalled STOP 2 "${long[@]}"
grep -q "stage 2 of 3, step [0-9]*: no message within" "$folder/out" || wrong "a stopped stage: $(cat "$folder/out")"

# An exam with two models, a sweep and a second session: the samples of one process, also when a stage is killed while it
# answers and the same command is given again.
exam=(--model "nano=$model" --model "dense=$source/models/nano/nano-dense-flops" --tasks "$source/models/nano/nano_exam.jsonl"
  --limit 40 --sweep kv=f16,q8_0 --threads 1)
"$eval" "${exam[@]}" --shard 1/1 --out "$folder/one" > /dev/null 2> "$folder/errors" || wrong "moe-eval: $(cat "$folder/errors")"
same_samples() {
  local there row
  for row in "$folder"/one/*/; do
    there=$folder/$1/$(basename "$row")
    cmp "$row"/samples_* "$there"/samples_* || wrong "samples of $1, $(basename "$row")"
  done
}
mpi -n 2 "$eval_stages" "${exam[@]}" --out "$folder/two" > /dev/null 2> "$folder/errors" ||
  wrong "moe-eval over 2 stages: $(cat "$folder/errors")"
same_samples two
killed=0
for round in 1 2 3; do
  mpi -n 2 "$eval_stages" "${exam[@]}" --cache "$folder/runs.db" > "$folder/out" 2>&1 &
  job=$!
  sleep "0.$((round * 3))"
  for p in $(pgrep -x moe-eval-stages); do
    grep -qz "OMPI_COMM_WORLD_RANK=1" "/proc/$p/environ" 2> /dev/null &&
      tr '\0' ' ' < "/proc/$p/cmdline" | grep -q "$folder" && kill -KILL "$p"
  done
  wait "$job" || killed=$((killed + 1))
done
[ "$killed" -gt 0 ] || wrong "no run was killed"
mpi -n 2 "$eval_stages" "${exam[@]}" --cache "$folder/runs.db" --out "$folder/killed" > /dev/null 2> "$folder/errors" ||
  wrong "moe-eval over stages again: $(cat "$folder/errors")"
same_samples killed
signalled INT 0 "$eval_stages" --model "nano=$model" --tasks "$source/models/nano/nano_exam.jsonl" --sweep kv=f16,q8_0,bf16,f32 --threads 1
[ "$status" = 130 ] || wrong "interrupted: status $status, expected 130: $(cat "$folder/out")"
mpi -n 2 "$eval_stages" "${exam[@]}" --memory 1G > "$folder/out" 2>&1 && wrong "--memory was accepted"
grep -q -- "--memory does not work over stages yet" "$folder/out" || wrong "--memory: $(cat "$folder/out")"
mpi -n 1 "$eval_stages" "${exam[@]}" : -n 1 "$eval_stages" "${exam[@]/nano=/other=}" > "$folder/out" 2>&1 &&
  wrong "another command line was accepted"
grep -q "stage 0 asks .nano" "$folder/out" || wrong "another command line: $(cat "$folder/out")"
end "stages over MPI"

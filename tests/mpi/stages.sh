#!/bin/bash
# moe-stages over mpirun on this machine: logits and replies of one process, byte for byte, and what happens to a stage
# that does not fit, dies or stops.
# usage: stages.sh SOURCE_DIR MOE_RUN MOE_STAGES
set -u
source=$1 run=$2 stages=$3
if ! command -v mpirun > /dev/null; then
  echo "SKIPPED moe-stages with mpirun: it is not installed (Debian: openmpi-bin)"
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

ids=$(seq -s' ' 3 3 400)
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
      got=$(mpi -n "$n" "$stages" --model "$model" --threads 1 --tokens "$some" -n 6 --chunk "$chunk" \
        --logits "$folder/many.npy" 2> "$folder/errors") || wrong "$model, $n stages: $(cat "$folder/errors")"
      cmp "$folder/one.npy" "$folder/many.npy" || wrong "logits of $model, $n stages, chunks of $chunk"
      [ "$got" = "$reply" ] || wrong "reply of $model, $n stages: $got, expected $reply"
    done
  done
done

model=$source/models/nano/nano-moe
common=(--model "$model" --threads 1 --tokens 5)
mpi -n 1 "$stages" "${common[@]}" -n 4 : -n 1 "$stages" "${common[@]}" -n 4 --kv q8_0 > "$folder/out" 2>&1 &&
  wrong "another cache was accepted"
grep -q "stage 1 has cache 'q8_0', stage 0 has cache 'f16'" "$folder/out" || wrong "another cache: $(cat "$folder/out")"
mpi -n 2 "$stages" "${common[@]}" -n 4 --canary 0123456789abcdef > "$folder/out" 2>&1 && wrong "a canary was accepted"
grep -q "the canary is" "$folder/out" || wrong "a canary: $(cat "$folder/out")"

# A long reply, and a signal for the process of one stage, which is a descendant of this mpirun.
signalled() {
  mpi -n 3 "$stages" "${common[@]}" -n 100000 --max-tokens 120000 --wait 1 > "$folder/out" 2>&1 &
  local job=$! pid="" began=$SECONDS
  for _ in $(seq 100); do
    sleep 0.1
    grep -q canary "$folder/out" || continue
    for p in $(pgrep -x moe-stages); do
      tr '\0' ' ' < "/proc/$p/cmdline" 2> /dev/null | grep -q -- "-n 100000" && grep -qz "OMPI_COMM_WORLD_RANK=2" "/proc/$p/environ" && pid=$p
    done
    break
  done
  [ -n "$pid" ] || wrong "no process of stage 2 was found: $(cat "$folder/out")"
  kill "-$1" "$pid"
  wait "$job" && wrong "signal $1 went unnoticed"
  [ $((SECONDS - began)) -lt 40 ] || wrong "signal $1 was noticed after $((SECONDS - began)) seconds"
  kill -CONT "$pid" 2> /dev/null
}
signalled KILL
signalled STOP
grep -q "stage 2 of 3, step [0-9]*: no message within" "$folder/out" || wrong "a stopped stage: $(cat "$folder/out")"
[ "$failed" = 0 ] && echo "stages over MPI: right"
exit "$failed"

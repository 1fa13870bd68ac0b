#!/bin/bash
# What stages refuse before they compute: other weights, another config.json, another canary, no prompt; nothing is printed
# then. And one process whose memory ends, which must not leave the others waiting.
# usage: refusals.sh SOURCE_DIR MOE_STAGES MOE_EVAL_STAGES
set -u
source "$(dirname "$0")/common.sh"
model=$1/models/nano/nano-moe stages=$2 eval_stages=$3
exam=(--tasks "$1/models/nano/nano_exam.jsonl" --limit 2 --threads 1)

# refused WHAT WHY: the run before failed, with $status, printed no result, and said why.
refused() {
  status=$?
  [ "$status" != 0 ] || wrong "$1: accepted"
  [ ! -s "$folder/out" ] || wrong "$1: printed $(cat "$folder/out")"
  grep -q -- "$2" "$folder/errors" || wrong "$1: $(cat "$folder/errors")"
}

cp -r "$model" "$folder/weights"
cp -r "$model" "$folder/config"
cp -r "$model" "$folder/renamed"
# The last byte but one of the file is of a weight's mantissa or exponent.
size=$(stat -c %s "$folder/weights/model.safetensors")
printf '\x01' | dd of="$folder/weights/model.safetensors" bs=1 seek=$((size - 2)) conv=notrunc status=none
cmp -s "$model/model.safetensors" "$folder/weights/model.safetensors" && wrong "the byte was the same"
sed -i 's/"rms_norm_eps": *\([0-9]\)/"rms_norm_eps": 1\1/' "$folder/config/config.json"
cmp -s "$model/config.json" "$folder/config/config.json" && wrong "config.json is the same"

for other in weights:model.safetensors config:config.json; do
  path=$folder/${other%:*} named="stage 1 has ${other#*:} '"
  mpi -n 1 "$stages" --model "$model" --tokens 5 -n 4 --threads 1 : \
    -n 1 "$stages" --model "$path" --tokens 5 -n 4 --threads 1 > "$folder/out" 2> "$folder/errors"
  refused "moe-stages, other $other" "$named"
  mpi -n 1 "$eval_stages" --model "nano=$model" "${exam[@]}" : \
    -n 1 "$eval_stages" --model "nano=$path" "${exam[@]}" > "$folder/out" 2> "$folder/errors"
  refused "moe-eval-stages, other $other" "$named"
done

# The same bytes elsewhere are the same model; both programs have the canary of one process.
canaries() { sed -n 's/.*stages, canary \([0-9a-f]\{16\}\)$/\1/p' "$folder/errors"; }
mpi -n 1 "$stages" --model "$model" --tokens 5 -n 1 --threads 1 > "$folder/out" 2> "$folder/errors" || wrong "one stage"
canary=$(canaries)
[ -n "$canary" ] || wrong "no canary: $(cat "$folder/errors")"
mpi -n 1 "$stages" --model "$model" --tokens 5 -n 1 --threads 1 --canary "$canary" : \
  -n 1 "$stages" --model "$folder/renamed" --tokens 5 -n 1 --threads 1 > "$folder/out" 2> "$folder/errors" ||
  wrong "a copy was refused: $(cat "$folder/errors")"
mpi -n 2 "$eval_stages" --model "nano=$model" "${exam[@]}" --canary "$canary" --wait 5 > "$folder/out" 2> "$folder/errors" ||
  wrong "the canary of one process was refused: $(cat "$folder/errors")"
[ "$(canaries)" = "$canary" ] || wrong "moe-eval-stages: canary $(canaries), expected $canary"
mpi -n 2 "$eval_stages" --model "nano=$model" "${exam[@]}" --kv q8_0 --canary "$canary" > "$folder/out" 2> "$folder/errors"
refused "the canary of another cache" "the canary of nano is [0-9a-f]*, expected $canary"

"$eval_stages" --model "nano=$model" "${exam[@]}" --canary "$canary" "$canary" > "$folder/out" 2> "$folder/errors"
refused "a second word behind --canary" "$canary"
[ "$status" = 2 ] || wrong "a second word behind --canary: status $status, expected 2"

mpi -n 2 "$eval_stages" "${exam[@]}" --model "nano=$model" --plan > "$folder/out" 2> "$folder/errors"
refused "--plan" "--plan: plans one process, not stages"

# A prompt, as moe-run: before MPI starts, except ids that the model does not have.
usage() {
  "$stages" --model "$model" "${@:2}" > "$folder/out" 2> "$folder/errors"
  refused "moe-stages ${*:2}" "$1"
  [ "$status" = 2 ] || wrong "moe-stages ${*:2}: status $status, expected 2"
}
usage "moe-stages: --prompt or --tokens is required"
usage "--prompt, --tokens: expected one of them alone" --prompt a --tokens 5
usage "--tokens: holds no token id" --tokens " "
usage "--tokens: a token id is 'x'" --tokens "1 x"
usage "--tokens: a token id is '99999999999'" --tokens "1,99999999999"
mpi -n 2 "$stages" --model "$model" --threads 1 --tokens "5 1792" -n 0 > "$folder/out" 2> "$folder/errors"
refused "an id outside the vocabulary" "is 1792, expected an id from 0 to 1791"
for logits in - /dev/stdout; do
  mpi -n 2 "$stages" --model "$model" --threads 1 --tokens 5 -n 4 --logits "$logits" > "$folder/out" 2> "$folder/errors"
  refused "--logits $logits with a reply" "--logits: is standard output, where the generated text goes: expected -n 0"
  [ "$status" = 2 ] || wrong "--logits $logits with a reply: status $status, expected 2"
done
mpi -n 2 "$stages" --model "$model" --threads 1 --tokens 5 -n 0 --logits - > "$folder/out" 2> "$folder/errors" ||
  wrong "--logits - without a reply: $(cat "$folder/errors")"
grep -q NUMPY "$folder/out" || wrong "--logits - without a reply: no .npy on standard output"

# In a container of the standard library, so it is an exception and no Result. What a sanitizer reserves does not fit.
limited='ulimit -v 700000; exec "$0" "$@"'
if bash -c "$limited" "$eval_stages" --version > /dev/null 2>&1; then
  truncate -s 500M "$folder/large.jsonl"
  timeout 20 mpirun -n 1 bash -c "$limited" "$eval_stages" --model "nano=$model" --tasks "$folder/large.jsonl" --threads 1 : \
    -n 1 "$eval_stages" --model "nano=$model" --tasks "$folder/large.jsonl" --threads 1 > "$folder/out" 2> "$folder/errors"
  refused "moe-eval-stages without memory" "stage 0 of 2: out of memory"
  [ "$status" = 3 ] || wrong "moe-eval-stages without memory: status $status, expected 3"
fi
end "refusals over MPI"

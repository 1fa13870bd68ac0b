#!/bin/bash
# mpirun as the launcher of shards: each process takes the shard of its rank by itself, and the merged samples are those
# of one process, byte for byte.
# usage: shards.sh SOURCE_DIR MOE_EVAL
set -u
source "$(dirname "$0")/common.sh"
eval=$2
exam=(--model "nano=$1/models/nano/nano-moe" --tasks "$1/models/nano/nano_exam.jsonl" --limit 30 --threads 1)
"$eval" "${exam[@]}" --out "$folder/one" > /dev/null 2> "$folder/errors" || wrong "moe-eval: $(cat "$folder/errors")"
# answered WHAT: the shards of the run before have answered all questions, which else the merged run would do.
answered() {
  awk '/^shard / { for (i = 1; i <= NF; ++i) if ($i == "answered") { sum += $(i + 1); all = $(i + 4) } }
    END { exit !(all > 0 && sum == all) }' "$folder/out" || wrong "$1 did not answer all: $(cat "$folder/out")"
}
for n in 2 3; do
  rm -f "$folder"/shards.db*
  mpi -n "$n" "$eval" "${exam[@]}" --cache "$folder/shards.db" > "$folder/out" 2> "$folder/errors" ||
    wrong "$n shards: $(cat "$folder/errors")"
  answered "$n shards"
  for i in $(seq "$n"); do grep -q "shard $i/$n" "$folder/errors" || wrong "no process took shard $i/$n: $(cat "$folder/errors")"; done
  "$eval" "${exam[@]}" --cache "$folder/shards.db" --out "$folder/many" > /dev/null 2> "$folder/errors" ||
    wrong "the merged run: $(cat "$folder/errors")"
  cmp "$folder"/one/*/samples_* "$folder"/many/*/samples_* || wrong "samples of $n shards"
  rm -rf "$folder/many"
done

# Shards of one machine share one copy of the weights: the first load packs, the others map the file.
mpi -n 2 "$eval" "${exam[@]}" --cache "$folder/mapped.db" --pack-cache "$folder/packs" --pack-map > "$folder/out" 2> "$folder/errors" ||
  wrong "shards with a mapped pack: $(cat "$folder/errors")"
answered "shards with a mapped pack"
"$eval" "${exam[@]}" --cache "$folder/mapped.db" --out "$folder/mapped" > /dev/null 2> "$folder/errors" ||
  wrong "the merged run of mapped shards: $(cat "$folder/errors")"
cmp "$folder"/one/*/samples_* "$folder"/mapped/*/samples_* || wrong "samples of shards with a mapped pack"
[ "$(ls "$folder/packs" | wc -l)" = 1 ] || wrong "not one packed file: $(ls "$folder/packs")"
end "shards over MPI"

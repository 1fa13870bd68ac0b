#!/usr/bin/env bash
# examples.sh SOURCE PREFIX COMPILER: every example as a project of its own against the installed package, run on a padded
# vocabulary, on one of words with spaces in front (as SentencePiece's are), and on a model without a tokenizer.
set -euo pipefail
source_tree=$1 prefix=$2 compiler=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

names=()
{
  echo 'cmake_minimum_required(VERSION 3.22)'
  echo 'project(examples LANGUAGES CXX)'
  echo 'find_package(moe REQUIRED)'
  for example in "$source_tree"/examples/*.cpp; do
    name=$(basename "$example" .cpp)
    names+=("$name")
    echo "add_executable($name $example)"
    echo "target_link_libraries($name PRIVATE moe::moe)"
  done
} >"$work/CMakeLists.txt"
((${#names[@]} >= 5)) || fail "expected the five examples, found ${names[*]}"
cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="-O0 -Werror" \
  >"$work/log" 2>&1 || { cat "$work/log"; fail "the examples do not configure"; }
cmake --build "$work/build" --parallel 2 >"$work/log" 2>&1 || { cat "$work/log"; fail "the examples do not build"; }

padded=$source_tree/tests/data/golden/qwen3_moe words=$work/words none=$work/none
for model in "$words" "$none"; do
  mkdir "$model"
  cp "$padded"/config.json "$padded"/model.safetensors "$model"
done
vocabulary='"H":0,"e":1,"l":2,"o":3,"▁":4'
for ((id = 5; id < 300; id++)); do vocabulary+=",\"▁w$id\":$id"; done
cat >"$words/tokenizer.json" <<END
{"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, "pre_tokenizer": null,
 "post_processor": null, "added_tokens": [], "decoder": {"type": "Sequence", "decoders": [
  {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "Fuse"},
  {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
 "model": {"type": "BPE", "unk_token": null, "fuse_unk": true, "byte_fallback": false, "merges": [],
  "vocab": {$vocabulary}}}
END
template='{% for m in messages %}{{ m.content }} {% endfor %}'
echo "$template" >"$words/chat_template.jinja"
echo '{}' >"$words/tokenizer_config.json"
cp -r "$padded" "$work/padded"
echo "$template" >"$work/padded/chat_template.jinja"

run() {  # EXAMPLE MODEL: with the arguments that it needs; what it says goes to $work/out
  local program=$work/build/$1 model=$2
  case $1 in
    route_one_token) "$program" ;;
    generate) "$program" "$model" Hello 12 ;;
    evaluate) "$program" "$model" "$source_tree/tests/data/stand_in_exam.jsonl" ;;
    chat) echo Hello | "$program" "$model" ;;
    *) "$program" "$model" ;;
  esac >"$work/out" 2>"$work/said"
}
for name in "${names[@]}"; do
  for model in "$work/padded" "$words"; do
    run "$name" "$model" || { cat "$work/said"; fail "$name on $(basename "$model")"; }
    [[ -s $work/out ]] || fail "$name on $(basename "$model") printed nothing"
  done
  [[ $name != route_one_token ]] || continue  # it has no model
  ! run "$name" "$none" || fail "$name accepted a model without a tokenizer"
  [[ $(wc -l <"$work/said") == 1 ]] && grep -q tokenizer "$work/said" ||
    fail "$name without a tokenizer: expected one line about it, got: $(cat "$work/said")"
done
echo "examples: ${names[*]}"

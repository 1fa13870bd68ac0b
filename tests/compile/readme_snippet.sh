#!/usr/bin/env bash
# readme_snippet.sh PROGRAM MOE_QUANTIZE MODEL: README.md's snippet reads "model.gguf", with a tokenizer and without one.
set -euo pipefail
program=$1 quantize=$2 model=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $*"; exit 1; }

says() { "$program" || fail "status $? $*"; }
[[ $(says "without a file") == "refused: "*model.gguf* ]] || fail "a missing file"
"$quantize" "$model" model.gguf >log 2>&1 || { cat log; fail "moe-quantize"; }
[[ $(says "with a tokenizer") == *" GFLOPs)"*"label "[01]": "[01].*"316 logits, forked, 1 FLOPs" ]] || fail "with a tokenizer: $("$program")"
"$quantize" "$model" model.gguf --no-tokenizer --force >log 2>&1 || { cat log; fail "moe-quantize"; }
[[ $(says "without a tokenizer") == "refused: model.gguf: "*no_vocab* ]] || fail "without a tokenizer: $("$program")"

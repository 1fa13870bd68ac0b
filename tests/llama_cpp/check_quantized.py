#!/usr/bin/env python3
"""Do files that moe-quantize writes mean the same in llama.cpp? Loads each in llama-cpp-python and compares logits and tokens.

    pip install llama-cpp-python==0.3.36 numpy
    check_quantized.py --bin build/release/bin [--models ../shared/golden] [--types f32,q8_0,q4_0]

Every Hugging Face directory below --models that moe-quantize takes, and every .gguf file there (--requantize). Both engines get the same ids and a float32 cache. moe-run computes with float32 activations (--precision reference);
llama.cpp rounds activations to int8 against quantised weights, so only f32 files are expected to agree closely.
Where llama_cpp is not installed it says SKIPPED and why, and ends with 0; so for a model that one of the two does not know.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

TYPES = ["f32", "f16", "bf16", "q8_0", "q6_k", "q5_1", "q5_0", "q4_1", "q4_k", "q4_0"]
# Relative distance of the logits, sqrt(sum (a - b)^2 / sum a^2): of all tokens for f32, of the median token otherwise. In
# these random models rounding sends single tokens to other experts, which moves their logits far more.
LIMIT = {"f32": 1e-5, "f16": 3e-3, "bf16": 2e-2}
GELU_LIMIT = 1e-3  # f32: llama.cpp takes GELU from a table of half floats (Gemma)
OTHER_LIMIT = 0.1
TEXTS = ["Hello world, it's 12345 o'clock.", " two  spaces\n\nlines", "caf\u00e9 \u2014 \u6771\u4eac 'LL"]


def default_models():
    tree = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    beside = os.path.join(tree, "../shared/golden")
    return os.environ.get("MOE_GOLDEN_DIR") or (beside if os.path.isdir(beside) else os.path.join(tree, "tests/data/golden"))


def skip(what, why):
    print(f"SKIPPED {what}: {why}", flush=True)


def llama_model(L, path):
    params = L.llama_model_default_params()
    params.n_gpu_layers = 0
    params.use_mmap = False
    return L.llama_model_load_from_file(path.encode(), params)


def llama_logits(L, np, model, ids):
    params = L.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = 512, 512, 512
    params.n_threads = params.n_threads_batch = 1
    params.type_k = params.type_v = 0  # GGML_TYPE_F32
    params.flash_attn_type = 0
    context = L.llama_init_from_model(model, params)
    if not context:
        raise RuntimeError("llama.cpp cannot make a context")
    batch = L.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
        batch.seq_id[i][0] = 0
    if L.llama_decode(context, batch) != 0:
        raise RuntimeError("llama_decode failed")
    count = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
    rows = [np.ctypeslib.as_array(L.llama_get_logits_ith(context, i), shape=(count,)).copy() for i in range(len(ids))]
    L.llama_batch_free(batch)
    L.llama_free(context)
    return np.stack(rows)


def llama_tokens(L, model, text):
    raw = text.encode()
    out = (L.llama_token * (len(raw) + 8))()
    n = L.llama_tokenize(L.llama_model_get_vocab(model), raw, len(raw), out, len(out), False, True)
    return list(out[:n])


def config_of(directory):
    if directory.endswith(".gguf"):
        return {}
    with open(os.path.join(directory, "config.json")) as text:
        return json.load(text)


def known_difference(directory):
    """What llama.cpp 0.3.36 cannot do or does otherwise with this model; empty when it should agree."""
    config = config_of(directory)
    if "kv_lora_rank" in config and not config.get("q_lora_rank"):
        return "llama.cpp does not load deepseek2 files without q_lora_rank, but for DeepSeek-V2-Lite's"
    if config.get("topk_method") == "group_limited_greedy":
        return "llama.cpp ranks groups of experts by their best two, DeepSeek-V2 by the best one"
    if config.get("model_type") == "gpt_oss" and not (config.get("rope_scaling") or {}).get("truncate", True):
        return "llama.cpp rounds the ends of YaRN's ramp, gpt-oss does not"
    if config.get("model_type") == "qwen2_moe" and config.get("mlp_only_layers"):
        return "llama.cpp does not load qwen2moe files with dense layers"
    return ""


def check(L, np, args, directory, kind, scratch):
    """One line of the table: True, False when the engines disagree, None when there is nothing to compare."""
    path = os.path.join(scratch, "model.gguf")
    made = subprocess.run([os.path.join(args.bin, "moe-quantize"), directory, path, "--type", kind, "--requantize"],
                          capture_output=True, text=True)
    if made.returncode != 0:
        skip(f"{os.path.basename(directory)} as {kind}", made.stderr.strip())
        return None
    if reason := known_difference(directory):
        skip(f"{os.path.basename(directory)} as {kind}", reason)
        return None
    model = llama_model(L, path)
    if not model:
        print(f"FAILED llama.cpp does not load {os.path.basename(directory)} as {kind}")
        return False
    vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
    ids = [(7919 * i + 13) % (vocab - 8) + 4 for i in range(48)]
    npy, routing = os.path.join(scratch, "logits.npy"), os.path.join(scratch, "routing.json")
    moe_run = [os.path.join(args.bin, "moe-run"), "--model", path, "--precision", "reference", "--kv", "f32"]
    subprocess.run(moe_run + ["--tokens", " ".join(map(str, ids)), "--logits", npy], check=True, capture_output=True)
    ours, theirs = np.load(npy).astype(np.float64), llama_logits(L, np, model, ids).astype(np.float64)
    distance = float(np.sqrt(((ours - theirs) ** 2).sum() / (ours**2).sum()))
    rows = np.sqrt(((ours - theirs) ** 2).sum(1) / (ours**2).sum(1))
    agree = float((ours.argmax(1) == theirs.argmax(1)).mean())
    same_tokens = 0
    for text in TEXTS:
        done = subprocess.run(moe_run + ["--prompt", text, "--routing", routing, "-n", "0"], capture_output=True, text=True)
        if done.returncode == 0:
            same_tokens += json.load(open(routing))["ids"] in (llama_tokens(L, model, text), llama_tokens_bos(L, model, text))
    L.llama_model_free(model)
    judged = distance if kind == "f32" else float(np.median(rows))
    limit = GELU_LIMIT if kind == "f32" and "gelu" in config_of(directory).get("hidden_activation", "") else LIMIT.get(kind, OTHER_LIMIT)
    good = np.isfinite(distance) and judged <= limit and same_tokens == len(TEXTS)
    print(f"{os.path.basename(directory):24} {kind:5} {os.path.getsize(path):9} {distance:10.2e} {float(np.median(rows)):10.2e} "
          f"{np.abs(ours - theirs).max():10.2e} {100 * agree:6.1f} % {same_tokens} of {len(TEXTS)}{'' if good else '  FAILED'}", flush=True)
    return good


def llama_tokens_bos(L, model, text):
    vocab = L.llama_model_get_vocab(model)
    return [L.llama_vocab_bos(vocab)] + llama_tokens(L, model, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="where moe-quantize and moe-run are")
    parser.add_argument("--models", default=default_models(), help="directory with models (%(default)s)")
    parser.add_argument("--types", default=",".join(TYPES))
    args = parser.parse_args()
    try:
        import llama_cpp as L
        import numpy as np
    except ImportError as missing:
        skip("files of moe-quantize in llama.cpp", str(missing))
        return 0
    quiet = L.llama_log_callback(lambda level, text, data: None)
    L.llama_log_set(quiet, None)
    L.llama_backend_init()
    print(f"{'model':24} {'type':5} {'bytes':>9} {'distance':>10} {'median row':>10} {'max':>10} {'argmax':>8} tokens as ours")
    results = []
    for name in sorted(os.listdir(args.models)):
        path = os.path.join(args.models, name)
        if not name.endswith(".gguf") and not os.path.exists(os.path.join(path, "config.json")):
            continue
        for kind in args.types.split(","):
            with tempfile.TemporaryDirectory() as scratch:
                results.append(check(L, np, args, path, kind, scratch))
            if results[-1] is None:
                break  # the same reason holds for the other types
    checked, good = sum(r is not None for r in results), False not in results
    if checked == 0:
        print(f"FAILED nothing to compare below {args.models}")
        return 1
    print(f"{checked} files compared: {'all agree' if good else 'FAILED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

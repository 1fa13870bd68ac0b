#!/usr/bin/env python3
"""Write a GGUF with the layer shapes of a large mixture-of-experts model and random q4_0 weights.

For measuring models larger than memory without downloading one (docs/LARGE_MODELS.md). Tokens choose their experts
about evenly: codes have a mean of zero and embeddings are large, so that what a token is decides its route. (Random
bytes alone have a mean of -1/2 code, which sends all tokens to few experts.) Needs only Python, and little memory.

    make_large_moe.py --shape qwen3-30b-a3b qwen.gguf               # 17.2 GB
    make_large_moe.py --shape deepseek-v3 --layers 4 v3.gguf        # 20.8 GB: a dense layer and three with experts
    make_large_moe.py --shape qwen3-next-80b-a3b --layers 6 next.gguf   # 5.9 GB: five delta nets and one attention
"""
import argparse
import array
import random
import struct

# Published configurations; a value of both families has the name that GGUF gives it.
SHAPES = {
    "qwen3-30b-a3b": {
        "arch": "qwen3moe", "layers": 48, "dense": 0, "vocabulary": 151936,
        "embedding_length": 2048, "attention.head_count": 32, "attention.head_count_kv": 4,
        "attention.key_length": 128, "attention.value_length": 128, "feed_forward_length": 768,
        "expert_feed_forward_length": 768, "expert_count": 128, "expert_used_count": 8,
    },
    "deepseek-v3": {
        "arch": "deepseek2", "layers": 61, "dense": 1, "vocabulary": 129280,
        "embedding_length": 7168, "attention.head_count": 128, "attention.head_count_kv": 1,
        "attention.q_lora_rank": 1536, "attention.kv_lora_rank": 512, "attention.key_length": 576,
        "attention.value_length": 512, "attention.key_length_mla": 192, "attention.value_length_mla": 128,
        "rope.dimension_count": 64, "feed_forward_length": 18432, "expert_feed_forward_length": 2048,
        "expert_count": 256, "expert_used_count": 8, "expert_shared_count": 1, "expert_weights_scale": 2.5,
        "expert_weights_norm": True, "expert_gating_func": 2, "expert_group_count": 8, "expert_group_used_count": 4,
    },
    "qwen3-next-80b-a3b": {
        "arch": "qwen3next", "layers": 48, "dense": 0, "vocabulary": 151936,
        "embedding_length": 2048, "attention.head_count": 16, "attention.head_count_kv": 2,
        "attention.key_length": 256, "attention.value_length": 256, "rope.dimension_count": 64,
        "feed_forward_length": 5120, "expert_feed_forward_length": 512, "expert_shared_feed_forward_length": 512,
        "expert_count": 512, "expert_used_count": 10, "full_attention_interval": 4, "ssm.conv_kernel": 4,
        "ssm.state_size": 128, "ssm.group_count": 16, "ssm.time_step_rank": 32, "ssm.inner_size": 4096,
    },
}
F32, Q4_0 = 0, 2
ALIGNMENT = 32
# Ends of names other than ".weight".
ENDS = {"exp_probs_b": ".bias", "ssm_dt": ".bias", "ssm_a": ""}
# Random bytes to two codes with a mean of 8, which stands for 0.
CODES = bytes((b & 15 or 8) | (b >> 4 or 8) << 4 for b in range(256))


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def value(v):
    if isinstance(v, bool):
        return struct.pack("<IB", 7, v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    return struct.pack("<I", 8) + text(v)


def delta_net(s):
    d, taps, heads = s["embedding_length"], s["ssm.conv_kernel"], s["ssm.time_step_rank"]
    key, values = s["ssm.state_size"], s["ssm.inner_size"]
    channels = 2 * key * s["ssm.group_count"] + values
    return [("attn_qkv", (d, channels), Q4_0), ("attn_gate", (d, values), Q4_0), ("ssm_ba", (d, 2 * heads), Q4_0),
            ("ssm_conv1d", (taps, channels), F32), ("ssm_dt", (heads,), F32), ("ssm_a", (heads,), F32),
            ("ssm_norm", (values // heads,), F32), ("ssm_out", (values, d), Q4_0)]


def attention(s, layer):
    """(name, numbers from the fastest on, type) of a layer's attention, or of what stands in its place."""
    d, heads, arch = s["embedding_length"], s["attention.head_count"], s["arch"]
    if arch == "qwen3next" and (layer + 1) % s["full_attention_interval"] != 0:
        return delta_net(s)
    if arch in ("qwen3moe", "qwen3next"):
        head, kv = s["attention.key_length"], s["attention.head_count_kv"]
        gated = 2 if arch == "qwen3next" else 1
        return [("attn_q", (d, gated * heads * head), Q4_0), ("attn_k", (d, kv * head), Q4_0), ("attn_v", (d, kv * head), Q4_0),
                ("attn_output", (heads * head, d), Q4_0), ("attn_q_norm", (head,), F32), ("attn_k_norm", (head,), F32)]
    q, kv, rope = s["attention.q_lora_rank"], s["attention.kv_lora_rank"], s["rope.dimension_count"]
    key, v = s["attention.key_length_mla"], s["attention.value_length_mla"]
    return [("attn_q_a", (d, q), Q4_0), ("attn_q_a_norm", (q,), F32), ("attn_q_b", (q, heads * key), Q4_0),
            ("attn_kv_a_mqa", (d, kv + rope), Q4_0), ("attn_kv_a_norm", (kv,), F32),
            ("attn_k_b", (key - rope, kv, heads), Q4_0), ("attn_v_b", (kv, v, heads), Q4_0),
            ("attn_output", (heads * v, d), Q4_0)]


def feed_forward(s, layer):
    d = s["embedding_length"]
    if layer < s["dense"]:
        f = s["feed_forward_length"]
        return [("ffn_gate", (d, f), Q4_0), ("ffn_down", (f, d), Q4_0), ("ffn_up", (d, f), Q4_0)]
    e, f = s["expert_count"], s["expert_feed_forward_length"]
    out = [("ffn_gate_inp", (d, e), F32), ("ffn_gate_exps", (d, f, e), Q4_0), ("ffn_down_exps", (f, d, e), Q4_0),
           ("ffn_up_exps", (d, f, e), Q4_0)]
    if s["arch"] == "deepseek2":
        out += [("exp_probs_b", (e,), F32)]
    if s["arch"] == "qwen3next":
        out += [("ffn_gate_inp_shexp", (d,), F32)]
    if s["arch"] in ("deepseek2", "qwen3next"):  # one shared expert, as wide as the others
        out += [("ffn_gate_shexp", (d, f), Q4_0), ("ffn_down_shexp", (f, d), Q4_0), ("ffn_up_shexp", (d, f), Q4_0)]
    return out


def tensors(s, layers):
    d, vocabulary = s["embedding_length"], s["vocabulary"]
    yield "token_embd.weight", (d, vocabulary), Q4_0
    yield "output_norm.weight", (d,), F32
    yield "output.weight", (d, vocabulary), Q4_0
    for layer in range(layers):
        norm = "post_attention_norm" if s["arch"] == "qwen3next" else "ffn_norm"
        norms = [("attn_norm", (d,), F32), (norm, (d,), F32)]
        for name, shape, kind in norms + attention(s, layer) + feed_forward(s, layer):
            yield f"blk.{layer}.{name}{ENDS.get(name, '.weight')}", shape, kind


def count(shape):
    n = 1
    for size in shape:
        n *= size
    return n


def size_of(shape, kind):
    return count(shape) * 4 if kind == F32 else count(shape) // 32 * 18


def write_q4_0(out, name, blocks):
    scale = struct.pack("<e", 0.2 if name == "token_embd.weight" else 0.002)
    while blocks > 0:
        n = min(blocks, 1 << 16)
        part = bytearray(random.randbytes(18 * n).translate(CODES))
        part[0::18], part[1::18] = scale[:1] * n, scale[1:] * n
        out.write(part)
        blocks -= n


def floats(name, numbers):
    if "norm" in name:
        return array.array("f", [1.0]) * numbers
    if name.endswith(".ssm_a"):  # -exp(A_log): with the biases below states forget within a few to thousands of tokens
        return array.array("f", (-random.uniform(1.0, 16.0) for _ in range(numbers)))
    if name.endswith(".ssm_dt.bias"):
        return array.array("f", (random.uniform(-7.0, -2.0) for _ in range(numbers)))
    return array.array("f", (random.gauss(0.0, 0.5 if "conv1d" in name else 0.02) for _ in range(numbers)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--layers", type=int, default=0, help="number of layers (as published)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("out")
    args = parser.parse_args()
    random.seed(args.seed)
    s = SHAPES[args.shape]
    layers = args.layers or s["layers"]
    arch = s["arch"]
    keys = {"general.architecture": arch, "general.name": f"synthetic {args.shape}, {layers} layers",
            "tokenizer.ggml.model": "no_vocab", f"{arch}.block_count": layers, f"{arch}.context_length": 32768,
            f"{arch}.attention.layer_norm_rms_epsilon": 1e-6, f"{arch}.rope.freq_base": 10000.0,
            f"{arch}.vocab_size": s["vocabulary"]}
    if s["dense"]:
        keys[f"{arch}.leading_dense_block_count"] = s["dense"]
    keys.update({f"{arch}.{k}": v for k, v in s.items() if k not in ("arch", "layers", "dense", "vocabulary")})
    listed = list(tensors(s, layers))
    with open(args.out, "wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, len(listed), len(keys)))
        for key, v in keys.items():
            out.write(text(key) + value(v))
        offset = 0
        for name, shape, kind in listed:
            out.write(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset))
            offset += -(-size_of(shape, kind) // ALIGNMENT) * ALIGNMENT
        for name, shape, kind in listed:
            out.write(bytes(-out.tell() % ALIGNMENT))
            if kind == F32:
                out.write(floats(name, count(shape)))
            else:
                write_q4_0(out, name, count(shape) // 32)


if __name__ == "__main__":
    main()

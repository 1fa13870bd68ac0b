"""Gives golden models an MTP layer with random weights, and writes what it makes of their final states, in float64.

    pip install numpy
    make_cases.py GOLDEN_DIRECTORY OUT NAME...     (NAME: hy_v3 or qwen3_next)

Plain formulas on the tensors' names in published files (vLLM: hy_v3_mtp, qwen3_next_mtp). The states are those of the
golden data, so nothing here is computed by libmoe. OUT/NAME gets config.json, model.safetensors (weights as bfloat16),
expected.json and expected.safetensors."""
import json
import struct
import sys
from pathlib import Path

import numpy as np

DTYPES = {"F32": np.float32, "I32": np.int32, "I64": np.int64, "BF16": np.uint16}


def read(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for name, t in json.loads(raw[8:8 + size]).items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            out[name] = t["dtype"], np.frombuffer(raw[8 + size + a:8 + size + b], DTYPES[t["dtype"]]).reshape(t["shape"])
    return out


def write(path, tensors):
    header, at = {}, 0
    for name, (dtype, values) in sorted(tensors.items()):
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for _, (_, v) in sorted(tensors.items())))


def widened(tensor):
    dtype, values = tensor
    if dtype == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float64)


def bf16(values):
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return "BF16", ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


class Layer:
    """An MTP layer: its names, its random weights, and its forward pass."""

    def __init__(self, config, tensors, random):
        self.c, self.qwen = config, config["model_type"] == "qwen3_next"
        layers, hidden = config["num_hidden_layers"], config["hidden_size"]
        self.prefix = "mtp.layers.0." if self.qwen else f"model.layers.{layers}."
        own = {"enorm": "mtp.pre_fc_norm_embedding", "hnorm": "mtp.pre_fc_norm_hidden", "proj": "mtp.fc",
               "norm": "mtp.norm"} if self.qwen else {
            "enorm": self.prefix + "enorm", "hnorm": self.prefix + "hnorm", "proj": self.prefix + "eh_proj",
            "norm": self.prefix + "final_layernorm"}
        self.own = {key: name + ".weight" for key, name in own.items()}
        last = f"model.layers.{layers - 1}."  # of the same kind
        shapes = {self.prefix + n[len(last):]: t[1].shape for n, t in tensors.items() if n.startswith(last)}
        shapes |= {self.own[key]: (hidden,) for key in ("enorm", "hnorm", "norm")}
        shapes[self.own["proj"]] = (hidden, 2 * hidden)
        self.added = {}
        for name, shape in sorted(shapes.items()):
            is_norm = len(shape) == 1 and "norm" in name
            values = random.standard_normal(shape) * (0.3 if len(shape) == 1 else 2.0 / np.sqrt(shape[-1]))
            self.added[name] = bf16(values + (1.0 if is_norm and not self.qwen else 0.0))
        self.values = {name: widened(t) for name, t in self.added.items()}

    def w(self, name):
        return self.values[self.own.get(name, self.prefix + name + ".weight")]

    def rms(self, x, name):
        y = x / np.sqrt((x * x).mean(-1, keepdims=True) + self.c["rms_norm_eps"])
        return y * (self.w(name) + (1.0 if self.qwen else 0.0))

    def rope(self, x):  # [T, heads, d]
        c, d = self.c, x.shape[-1]
        theta = c["rope_theta"] if "rope_theta" in c else c["rope_parameters"]["rope_theta"]
        n = int(d * c.get("partial_rotary_factor", 1.0))
        angle = np.arange(len(x))[:, None, None] * theta ** (-np.arange(0, n, 2) / n)
        a, b, rest = x[..., :n // 2], x[..., n // 2:n], x[..., n:]
        return np.concatenate((a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle), rest), -1)

    def attention(self, x):
        T, H, K, d = len(x), self.c["num_attention_heads"], self.c["num_key_value_heads"], self.c["head_dim"]
        q, k, v = (x @ self.w(f"self_attn.{n}_proj").T for n in "qkv")
        gate = 1.0
        if self.qwen:  # per head its query, then its gate
            q = q.reshape(T, H, 2 * d)
            q, gate = q[..., :d], sigmoid(q[..., d:])
        q = self.rope(self.rms(q.reshape(T, H, d), "self_attn.q_norm"))
        k = self.rope(self.rms(k.reshape(T, K, d), "self_attn.k_norm")).repeat(H // K, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(d)
        scores[:, np.arange(T)[:, None] < np.arange(T)[None]] = -np.inf
        p = np.exp(scores - scores.max(-1, keepdims=True))
        out = np.einsum("hqk,khd->qhd", p / p.sum(-1, keepdims=True), v.reshape(T, K, d).repeat(H // K, 1)) * gate
        return out.reshape(T, H * d) @ self.w("self_attn.o_proj").T

    def ffn(self, x, name):
        a, b = x @ self.w(name + "gate_proj").T, x @ self.w(name + "up_proj").T
        return (a * sigmoid(a) * b) @ self.w(name + "down_proj").T

    def experts(self, x):
        c = self.c
        if self.qwen:
            logits = x @ self.w("mlp.gate").T
            score = np.exp(logits - logits.max(-1, keepdims=True))
            score = chosen_by = score / score.sum(-1, keepdims=True)
            out = sigmoid(x @ self.w("mlp.shared_expert_gate").T) * self.ffn(x, "mlp.shared_expert.")
        else:
            score = sigmoid(x @ self.w("mlp.router.gate").T)
            chosen_by = score + self.values[self.prefix + "mlp.expert_bias"]
            out = self.ffn(x, "mlp.shared_mlp.")
        for t, row in enumerate(x):
            ids = np.argsort(-chosen_by[t])[:c["num_experts_per_tok"]]
            weights = score[t, ids] / score[t, ids].sum() * c.get("router_scaling_factor", 1.0)
            out[t] += sum(w * self.ffn(row, f"mlp.experts.{e}.") for e, w in zip(ids, weights))
        return out

    def forward(self, embeddings, states):
        x = np.concatenate((self.rms(embeddings, "enorm"), self.rms(states, "hnorm")), -1) @ self.w("proj").T
        x = x + self.attention(self.rms(x, "input_layernorm"))
        x = x + self.experts(self.rms(x, "post_attention_layernorm"))
        return self.rms(x, "norm")


def main():
    golden_dir, out_dir = Path(sys.argv[1]), Path(sys.argv[2])
    for name in sys.argv[3:]:
        source, out = golden_dir / name, out_dir / name
        out.mkdir(parents=True, exist_ok=True)
        config = json.loads((source / "config.json").read_text())
        golden = json.loads((source / "golden.json").read_text())
        known = read(source / "golden.safetensors")
        tensors = {n: t for n, t in read(source / "model.safetensors").items() if not n.startswith("mtp.")}
        layer = Layer(config, tensors, np.random.default_rng(5))
        expected, prompts, mtp = {}, [], []
        for i, prompt in enumerate(golden["prompts"]):
            ids = prompt["ids"]
            states = known[f"prompt{i}.final_norm"]
            following = ids[1:] + ids[:1]
            embedding, head = (widened(tensors[n]) for n in ("model.embed_tokens.weight", "lm_head.weight"))
            logits = layer.forward(embedding[following], widened(states)) @ head.T
            expected[f"prompt{i}.mtp_logits"] = "F32", logits.astype(np.float32)
            expected[f"prompt{i}.final_norm"] = states
            prompts.append({"ids": ids})
            mtp.append({"next_ids": following})
        if not layer.qwen:
            config["num_nextn_predict_layers"] = 1
        (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        write(out / "model.safetensors", tensors | layer.added)
        tolerance = {"suggested_tolerance_logits": golden["suggested_tolerance_logits"]}
        (out / "expected.json").write_text(json.dumps(tolerance | {"prompts": prompts, "mtp": {"prompts": mtp}}) + "\n")
        write(out / "expected.safetensors", expected)
        print(out, {k: float(np.abs(v).max()) for k, (_, v) in expected.items()}, tolerance)


if __name__ == "__main__":
    main()

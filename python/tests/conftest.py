"""What the tests share: the nano models of this tree, a model of zeros that is slow enough to be interrupted."""

import json
import os
import pathlib
import struct
import subprocess
import sys

import pytest

import libmoe

ROOT = pathlib.Path(__file__).resolve().parents[2]
NANO = ROOT / "models" / "nano" / "nano-moe"
EXAM = ROOT / "models" / "nano" / "nano_exam.jsonl"
PROMPT = "Question: What is the capital of Marlund?\nAnswer:"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def program(name):
    """A program of the release build; MOE_BIN_DIR names another place."""
    place = pathlib.Path(os.environ.get("MOE_BIN_DIR", ROOT / "build" / "release" / "bin")) / name
    if not place.exists():
        pytest.skip(f"{place} is not built")
    return str(place)


def run_python(code, **environment):
    """A Python of its own for what ends processes. Gives the finished process."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "NANO": str(NANO), **environment},
    )


@pytest.fixture(scope="session")
def model():
    return libmoe.Model(NANO, threads=2)


def zeros_config(layers):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": layers,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "vocab_size": 4096,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


def write_zeros(folder, layers):
    """A llama whose weights are zeros: a file with a hole, so it costs no disk. Every logit is 0."""
    config = zeros_config(layers)
    d, f, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    shapes = {"model.embed_tokens.weight": [v, d], "model.norm.weight": [d], "lm_head.weight": [v, d]}
    for i in range(layers):
        layer = f"model.layers.{i}."
        for name in ("q", "k", "v", "o"):
            shapes[f"{layer}self_attn.{name}_proj.weight"] = [d, d]
        shapes[f"{layer}mlp.gate_proj.weight"] = [f, d]
        shapes[f"{layer}mlp.up_proj.weight"] = [f, d]
        shapes[f"{layer}mlp.down_proj.weight"] = [d, f]
        shapes[f"{layer}input_layernorm.weight"] = [d]
        shapes[f"{layer}post_attention_layernorm.weight"] = [d]
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.truncate(8 + len(text) + at)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def slow_path(tmp_path_factory):
    return write_zeros(tmp_path_factory.mktemp("zeros"), 16)


@pytest.fixture(scope="session")
def slow_model(slow_path):
    return libmoe.Model(slow_path, threads=2)

#!/usr/bin/env python3
"""What llama.cpp's converter makes of the golden models: the metadata of the architecture, and every tensor's shape and hash.

    convert_hf_to_gguf.py GOLDEN/<model> --outfile FILES/<model>-f32.gguf --outtype f32     for every model
    make_layouts.py GOLDEN FILES [<model> ..]                                              writes <model>.json beside this script

Files of golden-2026 are <model>-bf16.gguf: what they hold is widened here.

The converter was that of llama-cpp-python 0.3.36, with its check of the tokenizer's hash bypassed (the golden tokenizers are
nobody's), Hunyuan's assertions on the published sizes off, and dense layers allowed in qwen2moe. Needs gguf-py.
"""
import json
import pathlib
import sys

import gguf
import numpy as np

# Hunyuan's converter writes a context length of its own choice and the config's `false` as 0 groups, ERNIE's a width of the shared experts that is right for the
# published sizes alone, Gemma's cuts the embedding to the tokenizer's length.
LEFT_OUT = {
    "hunyuan_v1_dense": ["context_length", "rope.scaling."],
    "hunyuan_v1_moe": ["context_length", "rope.scaling.", "expert_group"],
    "ernie4_5_moe": ["expert_shared_feed_forward_length"],
    "gemma3_text": ["token_embd.weight"],
    "gemma3": ["token_embd.weight"],
    # Without LongRoPE the original context says nothing; a window of 0 is none.
    "phi3": ["rope.scaling.original_context_length"],
    "phi3_longrope": ["attention.sliding_window"],
    # A list where libmoe writes a period.
    "olmo3": ["attention.sliding_window_pattern"],
}


def fnv1a(data: bytes) -> str:
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def as_float32(tensor) -> np.ndarray:
    if tensor.tensor_type != gguf.GGMLQuantizationType.BF16:
        return tensor.data
    return (tensor.data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def layout(path: pathlib.Path, model: str) -> dict:
    reader = gguf.GGUFReader(path)
    architecture = reader.fields["general.architecture"].contents()
    out = {"architecture": architecture, "metadata": {}, "tensors": {}}
    dropped = LEFT_OUT.get(model, [])
    for key, field in reader.fields.items():
        prefix = architecture + "."
        if key.startswith(prefix) and not any(key[len(prefix):].startswith(d) for d in dropped):
            out["metadata"][key] = field.contents()
    for t in reader.tensors:
        if t.name in dropped:
            continue
        # Frequency factors and -exp(A_log) are computed, in float32 there and in double here.
        digest = None if t.name == "rope_freqs.weight" or t.name.endswith(".ssm_a") else fnv1a(as_float32(t).tobytes())
        out["tensors"][t.name] = {"shape": [int(n) for n in t.shape][::-1], "type": t.tensor_type.name.lower(), "fnv1a": digest}
    return out


def main() -> None:
    golden, files, models = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    here = pathlib.Path(__file__).parent
    for path in sorted([*files.glob("*-f32.gguf"), *files.glob("*-bf16.gguf")]):
        model = path.name.removesuffix("-f32.gguf").removesuffix("-bf16.gguf")
        if models and model not in models:
            continue
        result = layout(path, model)
        lines = [f'"{k}": {json.dumps(v)}' for k, v in result["tensors"].items()]
        seed = json.loads((golden / model / "golden.json").read_text()).get("weight_seed")
        text = json.dumps({"architecture": result["architecture"], "weight_seed": seed, "metadata": result["metadata"]})[:-1]
        (here / f"{model}.json").write_text(text + ', "tensors": {\n' + ",\n".join(lines) + "}}\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What transformers computes for spellings of config.json: the same small weights under many configurations.

    python3 make_variants.py [FOLDER]    writes FOLDER/<model>/{config.json,model.safetensors} and FOLDER/variants.json

Needs transformers 5.24.0, torch, safetensors. Weights are random, from a seed per model. A variant is a list of changes to
config.json (null takes the key away, {"is": null} writes null) and the logits of the last position, in float32 with eager
attention.
"""
import copy
import json
import os
import pathlib
import shutil
import sys
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402
from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: E402

FOLDER = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
IDS = [3, 17, 5, 29, 11, 2, 23, 8, 19, 7, 30, 14, 1, 26, 9, 21, 4, 12, 28, 6]
NULL = {"is": None}

COMMON = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, vocab_size=32,
              intermediate_size=20, max_position_embeddings=64, rms_norm_eps=1e-5, hidden_act="silu",
              tie_word_embeddings=False, rope_theta=10000.0, bos_token_id=0, eos_token_id=1, pad_token_id=None)
MOE = dict(moe_intermediate_size=12, num_experts_per_tok=2)
MLA = dict(kv_lora_rank=8, q_lora_rank=12, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=6, num_key_value_heads=2,
           n_routed_experts=8, n_shared_experts=1, n_group=2, topk_group=1, first_k_dense_replace=1,
           routed_scaling_factor=1.5, **MOE)
MODELS = {
    "llama": dict(COMMON, head_dim=8),
    "mistral": dict(COMMON, head_dim=8, sliding_window=5),
    "qwen2": dict(COMMON, use_sliding_window=True, sliding_window=5, max_window_layers=1),
    "qwen3": dict(COMMON, head_dim=8, use_sliding_window=True, sliding_window=5, max_window_layers=1),
    "qwen2_moe": dict(COMMON, num_experts=6, shared_expert_intermediate_size=10, use_sliding_window=True,
                      sliding_window=5, max_window_layers=3, **MOE),
    "qwen3_moe": dict(COMMON, head_dim=8, num_experts=6, use_sliding_window=True, sliding_window=5, **MOE),
    "dots1": dict(COMMON, head_dim=8, n_routed_experts=8, n_shared_experts=1, n_group=2, topk_group=1,
                  first_k_dense_replace=1, sliding_window=5, max_window_layers=1, **MOE),
    "gpt_oss": dict(COMMON, head_dim=8, intermediate_size=12, num_local_experts=6, num_experts_per_tok=2,
                    sliding_window=5, max_position_embeddings=8192),
    "gemma3_text": dict({k: v for k, v in COMMON.items() if k != "hidden_act"}, head_dim=8, query_pre_attn_scalar=8,
                        hidden_activation="gelu_pytorch_tanh", sliding_window=5, sliding_window_pattern=2,
                        rope_local_base_freq=500.0, tie_word_embeddings=True),
    "glm4": dict(COMMON, head_dim=8, attention_bias=True),
    "deepseek_v3": dict(COMMON, norm_topk_prob=True, **MLA),
    "hunyuan_v1_dense": dict(COMMON, head_dim=8),
}
LINEAR = {"rope_type": "linear", "factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 256, "rope_theta": 300.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}
# {model: {name of the variant: changes}}
VARIANTS = {
    "llama": {
        "as it is": {},
        "theta in rope_scaling": {"rope_theta": None, "rope_scaling": {"rope_type": "default", "rope_theta": 300.0}},
        "theta in rope_scaling outranks the top level": {"rope_scaling": {"rope_type": "default", "rope_theta": 300.0}},
        "theta in rope_parameters": {"rope_theta": None, "rope_parameters": {"rope_theta": 300.0}},
        "theta beside rope_parameters": {"rope_theta": 300.0, "rope_parameters": {"rope_type": "default"}},
        "theta absent": {"rope_theta": None},
        "an empty rope_scaling beside rope_parameters": {"rope_scaling": {}, "rope_parameters": LINEAR},
        "a null rope_scaling beside rope_parameters": {"rope_scaling": NULL, "rope_parameters": LINEAR},
        "linear": {"rope_scaling": LINEAR},
        "linear by type": {"rope_scaling": {"type": "linear", "factor": 4.0}},
        "rope_type outranks type": {"rope_scaling": {"type": "yarn", "rope_type": "linear", "factor": 4.0}},
        "llama3": {"rope_scaling": LLAMA3},
        "llama3, original context at the top": {
            "original_max_position_embeddings": 16,
            "rope_scaling": {k: v for k, v in LLAMA3.items() if k != "original_max_position_embeddings"}},
        "llama3, original context at the top outranks": {
            "original_max_position_embeddings": 16, "rope_scaling": dict(LLAMA3, original_max_position_embeddings=40)},
        "llama3, original context absent": {
            "rope_scaling": {k: v for k, v in LLAMA3.items() if k != "original_max_position_embeddings"}},
        "yarn": {"rope_scaling": YARN},
        "yarn with a theta beside it": {"rope_theta": 100.0,
                                        "rope_scaling": {k: v for k, v in YARN.items() if k != "rope_theta"}},
        "yarn, factor null": {"rope_scaling": dict(YARN, factor=None), "max_position_embeddings": 1024},
        "yarn, betas null": {"rope_scaling": dict(YARN, beta_fast=None, beta_slow=None)},
        "yarn, beta_fast 0": {"rope_scaling": dict(YARN, beta_fast=0)},
        "yarn, own betas": {"rope_scaling": dict(YARN, beta_fast=4.0, beta_slow=0.5)},
        "yarn, truncate null": {"rope_scaling": dict(YARN, truncate=None)},
        "yarn, truncate false": {"rope_scaling": dict(YARN, truncate=False)},
        "yarn, attention_factor": {"rope_scaling": dict(YARN, attention_factor=0.7)},
        "yarn, attention_factor null": {"rope_scaling": dict(YARN, attention_factor=None)},
        "yarn, mscale alone": {"rope_scaling": dict(YARN, mscale=0.5)},
        "yarn, both mscales": {"rope_scaling": dict(YARN, mscale=1.5, mscale_all_dim=0.5)},
        "rms_norm_eps absent": {"rms_norm_eps": None},
    },
    "mistral": {
        "a window in every layer": {},
        "sliding_window null": {"sliding_window": NULL},
        "sliding_window absent": {"sliding_window": None},
        "head_dim null": {"head_dim": NULL},
        "layer_types that say the same": {"layer_types": ["sliding_attention"] * 3},
    },
    "qwen2": {
        "windows from max_window_layers on": {},
        "use_sliding_window false": {"use_sliding_window": False},
        "use_sliding_window absent": {"use_sliding_window": None},
        "max_window_layers absent": {"max_window_layers": None},
        "sliding_window null": {"sliding_window": NULL},
        "layer_types": {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
        "layer_types by older names": {"layer_types": ["attention", "sliding_attention", "attention"]},
        "num_key_value_heads null": {"num_key_value_heads": 1},
    },
    "qwen3": {"windows from max_window_layers on": {}, "layer_types": {"layer_types": ["sliding_attention"] * 2 + ["full_attention"]}},
    "qwen2_moe": {"windows in every other layer": {}, "max_window_layers 1": {"max_window_layers": 1},
                  "layer_types": {"layer_types": ["full_attention", "sliding_attention", "full_attention"]}},
    "qwen3_moe": {"a window in every layer": {}, "use_sliding_window false": {"use_sliding_window": False},
                  "experts by the other name": {"num_experts": None, "num_local_experts": 6}},
    "dots1": {"windows from max_window_layers on": {}, "sliding_window null": {"sliding_window": NULL},
              "sliding_window and max_window_layers absent": {"sliding_window": None, "max_window_layers": None},
              "layer_types": {"layer_types": ["sliding_attention", "full_attention", "full_attention"]}},
    "gpt_oss": {
        "no rope block": {},
        "a null rope block": {"rope_scaling": NULL},
        "an empty rope_parameters": {"rope_parameters": {}},
        "theta absent": {"rope_theta": None},
        "theta in the block": {"rope_theta": None, "rope_scaling": {"rope_type": "default", "rope_theta": 300.0}},
        "layer_types": {"layer_types": ["full_attention", "full_attention", "sliding_attention"]},
        "swiglu of its own": {"swiglu_limit": 0.5, "swiglu_alpha": 1.2},
    },
    "gemma3_text": {
        "as it is": {},
        "both bases absent": {"rope_theta": None, "rope_local_base_freq": None},
        "a rule of the older form": {"rope_scaling": LINEAR},
        "a theta in a rule of the older form": {"rope_theta": None, "rope_scaling": dict(LINEAR, rope_theta=300.0)},
        "blocks": {"rope_theta": None, "rope_local_base_freq": None,
                   "rope_parameters": {"full_attention": dict(LINEAR, rope_theta=300.0),
                                       "sliding_attention": {"rope_type": "default", "rope_theta": 40.0}}},
        "blocks without bases": {"rope_parameters": {"full_attention": LINEAR,
                                                     "sliding_attention": {"rope_type": "linear", "factor": 2.0}}},
        "one block": {"rope_parameters": {"full_attention": LINEAR}},
        "layer_types": {"layer_types": ["full_attention", "sliding_attention", "full_attention"]},
        "sliding_window_pattern absent": {"sliding_window_pattern": None},
    },
    "glm4": {
        "half of a head": {},
        "partial_rotary_factor null": {"partial_rotary_factor": NULL},
        "partial_rotary_factor in the block": {"rope_parameters": {"rope_theta": 300.0, "partial_rotary_factor": 0.25}},
        "partial_rotary_factor in the block outranks": {
            "partial_rotary_factor": 1.0, "rope_scaling": {"rope_type": "default", "partial_rotary_factor": 0.25}},
        "yarn of a part": {"rope_scaling": YARN},
    },
    "deepseek_v3": {
        "as it is": {},
        "rope_interleave null": {"rope_interleave": NULL},
        "yarn with mscale_all_dim": {"rope_scaling": dict(YARN, mscale=1.0, mscale_all_dim=0.8)},
        "linear with mscale_all_dim": {"rope_scaling": dict(LINEAR, mscale_all_dim=0.8)},
        "experts by the other name": {"n_routed_experts": None, "num_local_experts": 8},
        "norm_topk_prob null": {"norm_topk_prob": NULL},
    },
    "hunyuan_v1_dense": {
        "alpha": {"rope_scaling": {"type": "dynamic", "alpha": 50.0, "factor": 1.0}},
        "alpha with a theta inside": {"rope_theta": None,
                                      "rope_parameters": {"rope_type": "dynamic", "alpha": 50.0, "factor": 1.0, "rope_theta": 300.0}},
    },
}


def make_weights(name, config, folder):
    folder.mkdir(parents=True, exist_ok=True)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[name](**config))
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    with torch.no_grad():
        for key, weight in model.state_dict().items():
            spread = torch.randn(weight.shape, generator=generator)
            if weight.dim() >= 2:
                weight.copy_(spread * 1.6 / weight.shape[-1] ** 0.5)
            elif "norm" in key and name != "gemma3_text":
                weight.copy_(1.0 + 0.3 * spread)
            else:
                weight.copy_(0.3 * spread)
    model.to(torch.bfloat16)
    with tempfile.TemporaryDirectory() as made:
        model.save_pretrained(made)
        tensors = {k: v.clone() for k, v in load_file(f"{made}/model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    architecture = type(model).__name__
    (folder / "config.json").write_text(json.dumps(dict({"architectures": [architecture], "model_type": name}, **config)) + "\n")


def changed(config, changes):
    config = copy.deepcopy(config)
    for key, value in changes.items():
        if value is None:
            config.pop(key, None)
        else:
            config[key] = None if value == NULL else value
    return config


def logits_of(folder, changes):
    with tempfile.TemporaryDirectory() as work:
        shutil.copy(folder / "model.safetensors", work)
        config = changed(json.loads((folder / "config.json").read_text()), changes)
        pathlib.Path(work, "config.json").write_text(json.dumps(config))
        model = AutoModelForCausalLM.from_pretrained(work, dtype=torch.float32, attn_implementation="eager")
        with torch.no_grad():
            return [float(f"{x:.7g}") for x in model(torch.tensor([IDS])).logits[0, -1].tolist()]


def main():
    torch.set_num_threads(1)
    out = []
    for name, config in MODELS.items():
        make_weights(name, config, FOLDER / name)
        for variant, changes in VARIANTS[name].items():
            try:
                out.append({"model": name, "variant": variant, "changes": changes, "logits": logits_of(FOLDER / name, changes)})
            except Exception as error:
                print(f"{name}, {variant}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    lines = ",\n".join(json.dumps(entry) for entry in out)
    (FOLDER / "variants.json").write_text(
        f'{{"transformers": "{transformers.__version__}", "torch": "{torch.__version__}", "ids": {IDS}, "tolerance": 2e-4,\n'
        f'"variants": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()

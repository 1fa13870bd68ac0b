"""Writes a trained run as a Hugging Face DeepseekV3ForCausalLM directory and the exam scores of the written weights.

python export.py --run OUT/runs/nano-moe-1.pt --world OUT --to models/nano/nano-moe [--reference tests/data/nano/nano-moe.jsonl]
"""

import argparse
import json
import os
import shutil

import torch
from safetensors.torch import load_file, save_file

import exam
from corpus import CURRICULUM_FULL, Stream
from data import Setting
from model import EPSILON, MODELS, Nano
from score import exam_scores, summary
from tokenizer import Tokenizer
from world import World


def tensors(state):
    """Hugging Face names and shapes. Matrices become bfloat16; what decides or scales (router, bias, norms) stays float32."""
    out = {}
    for name, value in state.items():
        if ".experts." in name and ".shared_experts." not in name:
            prefix, kind = name.rsplit(".", 1)
            for expert, matrix in enumerate(value):
                out[f"{prefix}.{expert}.{kind}.weight"] = matrix.to(torch.bfloat16).contiguous()
        else:
            keep = value.dim() < 2 or "mlp.gate." in name
            out[name] = value.float().contiguous() if keep else value.to(torch.bfloat16).contiguous()
    return out


def state_of(stored, config):
    """The inverse: a state for model.Nano, in float32."""
    state = {}
    for name in Nano(config).state_dict():
        if ".experts." in name and ".shared_experts." not in name:
            prefix, kind = name.rsplit(".", 1)
            state[name] = torch.stack([stored[f"{prefix}.{e}.{kind}.weight"].float() for e in range(config.n_routed_experts)])
        else:
            state[name] = stored[name].float()
    return state


def huggingface_config(c):
    return {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "vocab_size": c.vocab_size,
            "hidden_size": c.hidden_size, "intermediate_size": c.intermediate_size, "moe_intermediate_size": c.moe_intermediate_size,
            "num_hidden_layers": c.num_hidden_layers, "num_attention_heads": c.num_attention_heads,
            "num_key_value_heads": c.num_attention_heads, "n_shared_experts": c.n_shared_experts,
            "n_routed_experts": c.n_routed_experts, "num_experts_per_tok": c.num_experts_per_tok,
            "routed_scaling_factor": c.routed_scaling_factor, "n_group": c.n_group, "topk_group": c.topk_group, "norm_topk_prob": True,
            "scoring_func": "sigmoid", "topk_method": "noaux_tc", "first_k_dense_replace": c.first_k_dense_replace,
            "kv_lora_rank": c.kv_lora_rank, "q_lora_rank": None, "qk_nope_head_dim": c.qk_nope_head_dim,
            "qk_rope_head_dim": c.qk_rope_head_dim, "qk_head_dim": c.qk_nope_head_dim + c.qk_rope_head_dim, "v_head_dim": c.v_head_dim,
            "head_dim": c.qk_rope_head_dim, "hidden_act": "silu", "max_position_embeddings": c.max_position_embeddings,
            "rms_norm_eps": EPSILON, "rope_theta": c.rope_theta, "rope_interleave": True, "attention_bias": False,
            "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 1, "torch_dtype": "bfloat16"}


def write_model(run, world, to):
    os.makedirs(to, exist_ok=True)
    stored = torch.load(run, weights_only=False)
    save_file(tensors(stored["model"]), f"{to}/model.safetensors", metadata={"format": "pt"})
    with open(f"{to}/config.json", "w") as f:
        json.dump(huggingface_config(stored["config"]), f, indent=1)
        f.write("\n")
    shutil.copy(f"{world}/tokenizer.json", to)
    return stored["config"]


def load_model(directory, config):
    """The exported weights, back in the training framework."""
    model = Nano(config)
    model.load_state_dict(state_of(load_file(f"{directory}/model.safetensors"), config))
    return model.eval()


def write_reference(model, world, path):
    """Log-likelihood of every choice of the exam in float32: what moe-eval must find in the exported files."""
    rows = exam.load(f"{world}/exam.jsonl")
    test, scores = exam_scores(model, Tokenizer.load(f"{world}/tokenizer.json"), rows, dtype=torch.float32)
    with open(path, "w") as f:
        for row, ll in zip(test, scores):
            f.write(json.dumps({"id": row["id"], "ll": [round(float(x), 6) for x in ll]}) + "\n")
    return summary(test, scores)


def write_sample(setting, world, path, sequences=64):
    """Texts of the training mix in an order that no run has seen, one JSON string per line: to measure the experts' load."""
    tokenizer = Tokenizer.load(f"{world}/tokenizer.json")
    stream = Stream(World(setting.world_seed, setting.people, setting.scale), tokenizer, "sample")
    # The beginning of a stream belongs to the curriculum: take the end.
    ids, _, _ = stream.write(CURRICULUM_FULL + sequences * setting.length, setting.length)
    with open(path, "w") as f:
        f.writelines(json.dumps(tokenizer.decode(row[:-1])) + "\n" for row in ids[-sequences:])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--run", required=True, help="a .pt file of train.py")
    p.add_argument("--world", required=True, help="the directory given to train.py as --out")
    p.add_argument("--to", required=True)
    p.add_argument("--reference", help="also write the exam's log-likelihoods there")
    p.add_argument("--sample", help="also write texts of the training mix there")
    a = p.parse_args()
    torch.set_num_threads(1)
    config = write_model(a.run, a.world, a.to)
    size = os.path.getsize(f"{a.to}/model.safetensors")
    print(f"{a.to}: {size / 1e6:.2f} MB")
    if a.sample:
        write_sample(Setting(), a.world, a.sample)
    if a.reference:
        print(json.dumps(write_reference(load_model(a.to, config), a.world, a.reference)))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The defaults of transformers' configuration classes, for every family of docs/MODELS.md.

    python3 make_defaults.py            writes src/arch/defaults_table.cpp and cases.json
    python3 make_defaults.py --check    changes nothing; exit status 1 when either would change

Needs transformers 5.24.0 (no torch). defaults_table.cpp is what the library reads. cases.json is what unit_defaults holds it
against: per family a small configuration with every key, and for each key the value that the class gives when that key is
absent, those that depend on other keys included.
"""
import dataclasses
import json
import os
import pathlib
import sys

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import transformers  # noqa: E402
from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: E402

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "../../../src/arch/defaults_table.cpp"
CASES = HERE / "cases.json"
FAMILIES = ("llama mistral qwen2 qwen3 qwen2_moe qwen3_moe deepseek_v2 deepseek_v3 mixtral olmoe seed_oss dots1 hunyuan_v1_dense "
            "hunyuan_v1_moe glm4 glm4_moe ernie4_5_moe gpt_oss gemma2 gemma3_text ministral3 glm4_moe_lite minimax_m2 hy_v3 "
            "ernie4_5 olmo2 olmo3 smollm3 phi3 qwen3_next qwen3_5_text qwen3_5_moe_text gemma4_text lfm2 lfm2_moe "
            "granitemoehybrid nemotron_h deepseek_v32 glm_moe_dsa").split()
BASE_KEYS = {field.name for field in dataclasses.fields(transformers.PreTrainedConfig)}


def own_fields(cls):
    return [f for f in dataclasses.fields(cls) if f.name not in BASE_KEYS or f.name == "tie_word_embeddings"]


def plain(value):
    """As transformers writes it: infinity is no JSON."""
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return {"__float__": "Infinity"} if value == float("inf") else value


def accepts_null(cls, key):
    try:
        cls(**{key: None})
        return True
    except Exception:
        return False


def rope_defaults(cls):
    """Keys of RoPE are no fields: what stands in rope_parameters of an object made of nothing, under the names files use."""
    block = getattr(cls(), "rope_parameters", None)
    if cls.model_type == "olmo3":  # one base for both kinds of layer
        return {"rope_theta": block["full_attention"]["rope_theta"]}
    if cls.model_type == "gemma4_text":  # no older names
        return {}
    if cls.model_type == "nemotron_h":  # no RoPE
        return {}
    if "full_attention" in block:  # Gemma 3
        return {"rope_theta": block["full_attention"]["rope_theta"],
                "rope_local_base_freq": block["sliding_attention"]["rope_theta"], "sliding_window_pattern": 6}
    out = {"rope_theta": block["rope_theta"]}
    if "partial_rotary_factor" in block:
        out["partial_rotary_factor"] = block["partial_rotary_factor"]
    rest = {k: v for k, v in block.items() if k not in ("rope_theta", "partial_rotary_factor")}
    if rest != {"rope_type": "default"}:
        out["rope_parameters"] = rest
    return out


def family_table(name):
    cls = CONFIG_MAPPING[name]
    aliases = {other: key for other, key in cls.attribute_map.items()}
    defaults, nullable = {}, []
    for field in own_fields(cls):
        defaults[field.name] = field.default
        if field.default is None or accepts_null(cls, field.name):
            nullable.append(field.name)
    defaults.update(rope_defaults(cls))
    nullable.append("partial_rotary_factor")  # null: the whole head
    defaults = {key: plain(value) for key, value in defaults.items()}
    # A field under its other name: files have `num_nextn_predict_layers`, the class `num_mtp_layers`.
    return {"defaults": defaults, "nullable": sorted(nullable), "aliases": aliases}


def wrapped(text, width=106):
    """JSON on lines of some length, cut behind commas."""
    lines, line = [], ""
    for part in text.replace(", \"", ",\n\"").split("\n"):
        if line and len(line) + 1 + len(part) > width:
            lines.append(line)
            line = ""
        line += (" " if line else "") + part
    return "\n".join(lines + [line])


def table_source():
    families = ",\n".join(f'"{name}": {wrapped(json.dumps(family_table(name)))}' for name in FAMILIES)
    return (f"// Made by tests/data/defaults/make_defaults.py from transformers {transformers.__version__}; edit that.\n"
            '#include "arch/defaults.hpp"\n\nnamespace moe::inline MOE_ABI::arch {\n\n'
            f'constexpr std::string_view kDefaultsTable = R"json({{\n{families}\n}})json";\n\n'
            "}  // namespace moe::inline MOE_ABI::arch\n")


# --- cases -----------------------------------------------------------------------------------------------------------

# Other than the defaults wherever libmoe computes with the key, so that a key that is not read is seen.
DENSE = dict(vocab_size=320, hidden_size=96, intermediate_size=160, num_hidden_layers=6, num_attention_heads=4,
             num_key_value_heads=2, hidden_act="silu", max_position_embeddings=640, rms_norm_eps=3e-5,
             rope_theta=20000.0, tie_word_embeddings=True)
WINDOW = dict(use_sliding_window=True, sliding_window=9, max_window_layers=2)
MLA = dict(DENSE, kv_lora_rank=32, q_lora_rank=24, qk_nope_head_dim=32, qk_rope_head_dim=16, v_head_dim=24,
           moe_intermediate_size=48, n_routed_experts=32, n_shared_experts=3, num_experts_per_tok=3, n_group=4,
           topk_group=2, first_k_dense_replace=1, routed_scaling_factor=1.5, num_key_value_heads=4)
NOAUX = dict(moe_intermediate_size=48, n_routed_experts=32, n_shared_experts=3, num_experts_per_tok=3, n_group=4,
             topk_group=2, first_k_dense_replace=2, routed_scaling_factor=1.5)
DELTA = dict(DENSE, head_dim=20, partial_rotary_factor=0.5, linear_conv_kernel_dim=3,
             linear_num_key_heads=2, linear_num_value_heads=6, linear_key_head_dim=8, linear_value_head_dim=24)
SHORT_CONV = dict({k: v for k, v in DENSE.items() if k not in ("hidden_act", "rms_norm_eps")}, norm_eps=3e-5,
                  tie_word_embeddings=False, conv_L_cache=4)
EXPERTS = dict(moe_intermediate_size=48, num_experts_per_tok=3, num_experts=24, shared_expert_intermediate_size=40)
BASES = {
    "granitemoehybrid": dict(DENSE, attention_bias=True, embedding_multiplier=3.0, logits_scaling=2.0,
                             residual_multiplier=0.5, attention_multiplier=0.25, num_local_experts=24,
                             num_experts_per_tok=3, shared_intermediate_size=40, position_embedding_type="rope",
                             layer_types=["linear_attention", "full_attention"] * 3, mamba_n_heads=8,
                             mamba_n_groups=2, mamba_d_state=12, mamba_d_head=36, mamba_d_conv=3, mamba_expand=3,
                             mamba_conv_bias=False, time_step_limit=[0.01, float("inf")]),
    "nemotron_h": dict({k: v for k, v in DENSE.items() if k not in ("hidden_act", "rms_norm_eps", "rope_theta",
                                                                    "num_hidden_layers")},
                       layers_block_type=["mlp", "linear_attention", "moe", "full_attention", "moe"],
                       layer_norm_epsilon=3e-5, head_dim=20, mlp_hidden_act="relu2", mamba_num_heads=16,
                       mamba_head_dim=12, n_groups=4, ssm_state_size=20, conv_kernel=3, use_conv_bias=False,
                       time_step_min=0.01, n_routed_experts=24, n_shared_experts=2, num_experts_per_tok=3, n_group=4,
                       topk_group=2, norm_topk_prob=False, routed_scaling_factor=1.5, moe_intermediate_size=48,
                       moe_shared_expert_intermediate_size=40),
    "gemma4_text": dict({k: v for k, v in DENSE.items() if k not in ("hidden_act", "rope_theta")},
                        tie_word_embeddings=False, head_dim=20, hidden_activation="gelu_pytorch_tanh",
                        sliding_window=9, final_logit_softcapping=10.0, hidden_size_per_layer_input=8,
                        vocab_size_per_layer_input=330, global_head_dim=24, num_global_key_value_heads=1,
                        attention_k_eq_v=True, num_kv_shared_layers=2, use_double_wide_mlp=True,
                        num_hidden_layers=12, enable_moe_block=True, num_experts=24, top_k_experts=3,
                        moe_intermediate_size=48),
    "qwen3_next": dict(DELTA, **EXPERTS, norm_topk_prob=False, decoder_sparse_step=2, mlp_only_layers=[3]),
    "qwen3_5_text": dict(DELTA),
    "qwen3_5_moe_text": dict(DELTA, **EXPERTS),
    "lfm2": dict(SHORT_CONV, block_multiple_of=24, block_ffn_dim_multiplier=1.5,
                 full_attn_idxs=[1, 4]),
    "lfm2_moe": dict(SHORT_CONV, layer_types=["conv", "full_attention"] * 3, num_dense_layers=1, num_experts=24,
                     num_experts_per_tok=3, use_expert_bias=False, norm_topk_prob=False, routed_scaling_factor=1.5,
                     moe_intermediate_size=48),
    "llama": dict(DENSE, head_dim=20, attention_bias=True),
    "mistral": dict(DENSE, head_dim=20, sliding_window=9),
    "qwen2": dict(DENSE, **WINDOW),
    "qwen3": dict(DENSE, **WINDOW, head_dim=20, attention_bias=True),
    "qwen2_moe": dict(DENSE, **WINDOW, decoder_sparse_step=2, moe_intermediate_size=48, qkv_bias=False,
                      shared_expert_intermediate_size=56, num_experts_per_tok=3, num_experts=24, norm_topk_prob=True,
                      mlp_only_layers=[3]),
    "qwen3_moe": dict(DENSE, use_sliding_window=True, sliding_window=9, attention_bias=True, decoder_sparse_step=2,
                      moe_intermediate_size=48, num_experts_per_tok=3, num_experts=24, norm_topk_prob=True,
                      mlp_only_layers=[3]),
    "deepseek_v2": dict(MLA, topk_method="group_limited_greedy"),
    "deepseek_v3": dict(MLA, norm_topk_prob=False, rope_interleave=False, num_nextn_predict_layers=2),
    "mixtral": dict(DENSE, head_dim=20, sliding_window=9, num_experts_per_tok=3, num_local_experts=24),
    "olmoe": dict(DENSE, attention_bias=True, num_experts_per_tok=3, num_experts=24, norm_topk_prob=True),
    "seed_oss": dict(DENSE, head_dim=20, attention_bias=False, attention_out_bias=True),
    "dots1": dict(DENSE, **NOAUX, norm_topk_prob=True, attention_bias=True, sliding_window=9, max_window_layers=2),
    "hunyuan_v1_dense": dict(DENSE, head_dim=20, attention_bias=True),
    "hunyuan_v1_moe": dict(DENSE, head_dim=20, attention_bias=True, num_experts=24, moe_topk=3),
    "glm4": dict(DENSE, head_dim=24, attention_bias=False, partial_rotary_factor=0.25),
    "glm4_moe": dict(DENSE, **NOAUX, attention_bias=True, norm_topk_prob=False, use_qk_norm=True,
                     partial_rotary_factor=0.25, num_nextn_predict_layers=2),
    "ernie4_5_moe": dict(DENSE, tie_word_embeddings=False, moe_intermediate_size=48, moe_k=3, moe_num_experts=24,
                         moe_num_shared_experts=3, moe_layer_start_index=2, moe_layer_end_index=4,
                         moe_layer_interval=2, moe_norm_min=1e-9),
    "gpt_oss": dict(DENSE, head_dim=20, sliding_window=9, num_local_experts=24, num_experts_per_tok=3,
                    swiglu_alpha=1.5, swiglu_limit=6.0, attention_bias=False,
                    rope_parameters={"rope_type": "linear", "factor": 2.0}),
    "ministral3": dict(DENSE, head_dim=20, sliding_window=9, rope_parameters={
        "rope_type": "yarn", "rope_theta": 20000.0, "factor": 8.0, "original_max_position_embeddings": 40,
        "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.2}),
    "glm4_moe_lite": dict({k: v for k, v in MLA.items() if k != "first_k_dense_replace"}, norm_topk_prob=False,
                          rope_interleave=False),
    "deepseek_v32": dict(MLA, norm_topk_prob=False, index_topk=9, index_head_dim=24, index_n_heads=3),
    "glm_moe_dsa": dict(MLA, norm_topk_prob=False, index_topk=9, index_head_dim=24, index_n_heads=3,
                        indexer_types=["full", "shared"] * 3),
    "minimax_m2": dict(DENSE, head_dim=20, num_experts_per_tok=3, num_local_experts=24),
    "hy_v3": dict(DENSE, head_dim=20, attention_bias=True, num_experts=24, num_experts_per_tok=3,
                  num_shared_experts=2, moe_intermediate_size=48, router_scaling_factor=1.5),
    "ernie4_5": dict(DENSE, tie_word_embeddings=False, head_dim=20),
    "olmo2": dict(DENSE, attention_bias=True),
    "olmo3": dict(DENSE, attention_bias=True, sliding_window=9),
    "smollm3": dict(DENSE, attention_bias=True, tie_word_embeddings=False, use_sliding_window=True, sliding_window=9,
                    no_rope_layer_interval=3),
    "phi3": dict(DENSE, sliding_window=9, partial_rotary_factor=0.5),
    "gemma2": dict({k: v for k, v in DENSE.items() if k != "hidden_act"}, tie_word_embeddings=False, head_dim=20,
                   hidden_activation="gelu_pytorch_tanh", attention_bias=True, query_pre_attn_scalar=30,
                   sliding_window=9, attn_logit_softcapping=20.0, final_logit_softcapping=10.0),
    "gemma3_text": dict({k: v for k, v in DENSE.items() if k != "hidden_act"}, tie_word_embeddings=False, head_dim=20,
                        hidden_activation="gelu_pytorch_tanh", attention_bias=True, query_pre_attn_scalar=30,
                        sliding_window=9, sliding_window_pattern=3, rope_local_base_freq=5000.0),
}


def family_case(name):
    cls = CONFIG_MAPPING[name]
    base = dict(architectures=None, model_type=name, **BASES[name])
    del base["architectures"]
    keys = [f.name for f in own_fields(cls)] + list(rope_defaults(cls))
    absent = {}
    for key in dict.fromkeys(keys):
        config = {k: v for k, v in base.items() if k not in (key, cls.attribute_map.get(key, key))}
        try:
            made = cls(**json.loads(json.dumps(config)))
        except Exception as error:  # a list of another length than the default number of layers, or other heads
            if key not in ("num_hidden_layers", "hidden_size", "mamba_expand", "mamba_n_heads"):
                raise error
            absent[key] = {f.name: f.default for f in own_fields(cls)}[key]
            continue
        if name == "gemma4_text":  # the class has values per layer, too
            made.allow_global_per_layer_attribute_access = True
        if key == "rope_parameters":
            # The whole block is another key's: only what the class makes of none is of interest here.
            if name in ("gpt_oss", "ministral3"):
                absent[key] = {k: v for k, v in made.rope_parameters.items() if k != "rope_theta"}
        elif key == "rope_theta":
            absent[key] = made.rope_parameters.get("full_attention", made.rope_parameters)["rope_theta"]
        elif key == "rope_local_base_freq":
            absent[key] = made.rope_parameters["sliding_attention"]["rope_theta"]
        elif key == "partial_rotary_factor":
            absent[key] = made.rope_parameters["partial_rotary_factor"]
        elif key == "sliding_window_pattern":
            absent[key] = made._sliding_window_pattern
        elif key == "sliding_window":
            # Some classes overwrite it with what use_sliding_window says: the field's own default is meant.
            absent[key] = {f.name: f.default for f in own_fields(cls)}[key]
        elif key == "head_dim" and "qk_rope_head_dim" in base:
            continue  # the class sets it whatever the file says
        else:
            absent[key] = plain(getattr(made, key))
    return {"base": {key: plain(value) for key, value in base.items()}, "absent": absent}


def cases_text():
    return json.dumps({"transformers": transformers.__version__, "families": {n: family_case(n) for n in FAMILIES}},
                      indent=1) + "\n"


def main():
    changed = False
    for path, text in ((TABLE, table_source()), (CASES, cases_text())):
        path = path.resolve()
        if path.exists() and path.read_text() == text:
            continue
        changed = True
        if "--check" in sys.argv:
            print(f"{path} differs from what transformers {transformers.__version__} gives", file=sys.stderr)
        else:
            path.write_text(text)
    return 1 if changed and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())

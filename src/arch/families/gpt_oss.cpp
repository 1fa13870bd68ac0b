// gpt-oss: windows in every other layer, a sink per head, biases everywhere, YaRN whose ramp is not rounded; experts
// are selected by logits, with softmax over the chosen; clamped SwiGLU; all experts are stored in one tensor.
// Source: gpt-oss model card (arXiv:2508.10925), section 2; transformers, modeling_gpt_oss.
#include "arch/common_fields.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace gpt_oss {

constexpr TensorName kNames[] = {
    {Role::sinks, "model.layers.{l}.self_attn.sinks"},
    {Role::router, "model.layers.{l}.mlp.router.weight"},
    {Role::router_logit_bias, "model.layers.{l}.mlp.router.bias"},
    {Role::expert_gate_up, "model.layers.{l}.mlp.experts.gate_up_proj"},
    {Role::expert_gate_up_bias, "model.layers.{l}.mlp.experts.gate_up_proj_bias"},
    {Role::expert_down, "model.layers.{l}.mlp.experts.down_proj"},
    {Role::expert_down_bias, "model.layers.{l}.mlp.experts.down_proj_bias"},
};

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "gpt_oss");
  read_gqa(json, c);
  read_windows(
      json, true, [](std::int64_t l) { return l % 2 == 0; }, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  c.attention_sinks = c.expert_bias = c.router_bias = true;
  c.activation = Activation::swiglu_clamped;
  c.swiglu_alpha = json.number("swiglu_alpha");
  c.swiglu_limit = json.number("swiglu_limit");
  c.moe_intermediate_size = json.integer("intermediate_size", 1, kMaxWidth);
  c.router.expert_count = json.integer("num_local_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.score = RouterScore::chosen_softmax;
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "gpt_oss");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  c.rope.truncate = false;  // there is no key for it; from the published configurations
  read_windows(meta, 2, c);
  c.qkv_bias = c.o_bias = c.attention_sinks = c.expert_bias = c.router_bias = true;
  c.activation = Activation::swiglu_clamped;
  read_experts(meta, "expert_feed_forward_length", c);
  c.router.score = RouterScore::chosen_softmax;
  return c;
}

// GGUF uses Hugging Face's name for the norm before the FFN, and stores the experts' gate and up separately.
constexpr TensorName kGgufNames[] = {{Role::ffn_norm, "blk.{l}.post_attention_norm.weight"}};

}  // namespace gpt_oss

const Family kGptOss = {.name = "gpt_oss",
                        .gguf_architecture = "gpt-oss",
                        .hf_architecture = "GptOssForCausalLM",
                        .from_hf = gpt_oss::from_hf,
                        .from_gguf = gpt_oss::from_gguf,
                        .hf_names = gpt_oss::kNames,
                        .gguf_names = gpt_oss::kGgufNames};

}  // namespace moe::inline MOE_ABI::arch

// Qwen1.5-MoE and Qwen2-57B-A14B: Qwen2's attention, softmax top-k, one wide shared expert weighted by the sigmoid of
// its own gate. Source: Qwen2 report (arXiv:2407.10671), section 2.2.2; transformers, modeling_qwen2_moe.
#include "arch/common_fields.hpp"
#include "arch/dense_layers.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace qwen2_moe {

constexpr TensorName kNames[] = {
    {Role::shared_gate, "model.layers.{l}.mlp.shared_expert.gate_proj.weight"},
    {Role::shared_up, "model.layers.{l}.mlp.shared_expert.up_proj.weight"},
    {Role::shared_down, "model.layers.{l}.mlp.shared_expert.down_proj.weight"},
    {Role::shared_expert_gate, "model.layers.{l}.mlp.shared_expert_gate.weight"},
};

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "qwen2_moe");
  read_gqa(json, c);
  const std::int64_t last = json.integer("max_window_layers", 0, kMaxLayers);
  read_windows(
      json, json.boolean("use_sliding_window"), [&](std::int64_t l) { return l % 2 == 0 && l < last; }, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qkv_bias = json.boolean("qkv_bias");
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.shared_expert_count = 1;
  c.shared_expert_intermediate_size = json.integer("shared_expert_intermediate_size", 1, kMaxWidth);
  c.shared_expert_gate = true;
  c.router.expert_count = json.integer("num_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.score = RouterScore::softmax;
  c.router.norm_topk_prob = json.boolean("norm_topk_prob");
  c.mlp_only_layers = json.integers_or_empty("mlp_only_layers");
  keep_moe_layers(json.integer("decoder_sparse_step", 1, kMaxLayers), 0, c.layer_count, c);
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "qwen2_moe");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  read_qkv_bias(meta, c);
  // The first files have neither width: intermediate_size is then that of the shared expert, which is top_k times that
  // of
  // a routed one.
  read_experts(meta, meta.has("expert_feed_forward_length") ? "expert_feed_forward_length" : "feed_forward_length", c);
  if (!meta.has("expert_feed_forward_length")) c.moe_intermediate_size /= c.router.top_k;
  c.shared_expert_count = 1;
  c.shared_expert_intermediate_size =
      meta.integer_or("expert_shared_feed_forward_length", c.intermediate_size, 1, kMaxWidth);
  c.shared_expert_gate = true;
  c.router.score = RouterScore::softmax;  // GGUF does not store norm_topk_prob here; every published model has it off
  dense_without_router(meta, c);
  return c;
}

}  // namespace qwen2_moe

const Family kQwen2Moe = {.name = "qwen2_moe",
                          .gguf_architecture = "qwen2moe",
                          .hf_architecture = "Qwen2MoeForCausalLM",
                          .from_hf = qwen2_moe::from_hf,
                          .from_gguf = qwen2_moe::from_gguf,
                          .hf_names = qwen2_moe::kNames};

}  // namespace moe::inline MOE_ABI::arch

// Qwen3-MoE: Qwen3's attention, softmax over all experts, top-k, weights renormalised, no shared expert.
// Source: Qwen3 report (arXiv:2505.09388), section 2; transformers, modeling_qwen3_moe.
#include "arch/common_fields.hpp"
#include "arch/dense_layers.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace qwen3_moe {

void set_router(std::int64_t experts, std::int64_t top_k, bool norm, ModelConfig& c) {
  c.qk_norm = QkNorm::head;
  c.router.expert_count = experts;
  c.router.top_k = top_k;
  c.router.score = RouterScore::softmax;
  c.router.norm_topk_prob = norm;
}

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "qwen3_moe");
  read_gqa(json, c);
  if (json.boolean("use_sliding_window")) read_window_of_all(json, c);
  for (const char* unused : {"sliding_window", "max_window_layers"}) json.in_file(unused);
  read_rope(json, RopeStyle::half_split, c);
  set_router(json.integer("num_experts", 1, kMaxExperts), json.integer("num_experts_per_tok", 1, kMaxExperts),
             json.boolean("norm_topk_prob"), c);
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.mlp_only_layers = json.integers_or_empty("mlp_only_layers");
  keep_moe_layers(json.integer("decoder_sparse_step", 1, kMaxLayers), 0, c.layer_count, c);
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "qwen3_moe");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  // GGUF does not store norm_topk_prob for this architecture; every published model has it on.
  set_router(meta.integer("expert_count", 1, kMaxExperts), meta.integer("expert_used_count", 1, kMaxExperts), true, c);
  c.moe_intermediate_size = meta.integer("expert_feed_forward_length", 1, kMaxWidth);
  dense_without_router(meta, c);
  return c;
}

}  // namespace qwen3_moe

const Family kQwen3Moe = {.name = "qwen3_moe",
                          .gguf_architecture = "qwen3moe",
                          .hf_architecture = "Qwen3MoeForCausalLM",
                          .from_hf = qwen3_moe::from_hf,
                          .from_gguf = qwen3_moe::from_gguf};

}  // namespace moe::inline MOE_ABI::arch

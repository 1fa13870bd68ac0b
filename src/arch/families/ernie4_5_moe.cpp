// ERNIE 4.5 MoE (21B-A3B, 300B-A47B): GQA with interleaved RoPE; softmax over all experts, a bias for the selection
// only, weights renormalised with a lower bound of the divisor; ungated shared experts.
// Source: ERNIE 4.5 report (2025), section 2; transformers, modeling_ernie4_5_moe.
#include "arch/common_fields.hpp"
#include "arch/dense_layers.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace ernie4_5_moe {

constexpr TensorName kNames[] = {
    {Role::router_bias, "model.layers.{l}.mlp.moe_statics.e_score_correction_bias"},
};

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "ernie4_5_moe");
  read_gqa(json, c);
  read_rope(json, RopeStyle::interleaved, c);
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.shared_expert_count = json.integer_or("moe_num_shared_experts", 0, 0, kMaxExperts);
  c.router.expert_count = json.integer("moe_num_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("moe_k", 1, kMaxExperts);
  c.router.score = RouterScore::softmax;
  c.router.selection_bias = true;
  c.router.norm_topk_prob = true;
  c.router.norm_min = json.number("moe_norm_min");
  const std::int64_t last = json.integer("moe_layer_end_index", -1, kMaxLayers);
  keep_moe_layers(json.integer("moe_layer_interval", 1, kMaxLayers),
                  json.integer("moe_layer_start_index", 0, kMaxLayers), last < 0 ? c.layer_count - 1 : last, c);
  c.mtp_layer_count = json.integer_or("num_nextn_predict_layers", 0, 0, 16);
  // moe_use_aux_free says whether training updated the bias; the published files contain it in both cases.
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "ernie4_5_moe");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::interleaved, c);
  read_experts(meta, "expert_feed_forward_length", c);
  // Some converters give the shared experts' width as intermediate_size / kv heads: right for the published models
  // only.
  c.shared_expert_count = meta.integer_or("expert_shared_count", 0, 0, kMaxExperts);
  c.router.score = RouterScore::softmax;
  c.router.selection_bias = true;
  c.router.norm_topk_prob = true;
  keep_moe_layers(meta.integer_or("interleave_moe_layer_step", 1, 1, kMaxLayers),
                  meta.integer_or("leading_dense_block_count", 0, 0, kMaxLayers), c.layer_count - 1, c);
  dense_without_router(meta, c);  // moe_layer_end_index
  return c;
}

}  // namespace ernie4_5_moe

const Family kErnieMoe = {.name = "ernie4_5_moe",
                          .gguf_architecture = "ernie4_5-moe",
                          .hf_architecture = "Ernie4_5_MoeForCausalLM",
                          .from_hf = ernie4_5_moe::from_hf,
                          .from_gguf = ernie4_5_moe::from_gguf,
                          .hf_names = ernie4_5_moe::kNames};

}  // namespace moe::inline MOE_ABI::arch

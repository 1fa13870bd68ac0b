#include "arch/experts.hpp"

#include <algorithm>

#include "arch/limits.hpp"

namespace moe::inline MOE_ABI::arch {

void read_experts(GgufConfig& meta, std::string_view width_key, ModelConfig& c) {
  c.router.expert_count = meta.integer("expert_count", 1, kMaxExperts);
  c.router.top_k = meta.integer("expert_used_count", 1, kMaxExperts);
  c.moe_intermediate_size = meta.integer(width_key, 1, kMaxWidth);
}

void read_groups(GgufConfig& meta, ModelConfig& c) {
  c.router.group_count = meta.integer_or("expert_group_count", 1, 1, kMaxExperts);
  c.router.topk_group = meta.integer_or("expert_group_used_count", 1, 1, kMaxExperts);
}

void set_noaux_rules(ModelConfig& c) {
  c.router.score = RouterScore::sigmoid;
  c.router.group_score = GroupScore::top2_sum;
  c.router.selection_bias = true;
}

void read_noaux_tc(GgufConfig& meta, ModelConfig& c) {
  read_experts(meta, "expert_feed_forward_length", c);
  c.mtp_layer_count = meta.integer_or("nextn_predict_layers", 0, 0, 16);
  c.layer_count -= c.mtp_layer_count;  // block_count counts them
  c.first_k_dense_replace = meta.integer_or("leading_dense_block_count", 0, 0, kMaxLayers);
  c.shared_expert_count = meta.integer_or("expert_shared_count", 0, 0, kMaxExperts);
  read_groups(meta, c);
  set_noaux_rules(c);
  c.router.norm_topk_prob = meta.boolean_or("expert_weights_norm", false);
  c.router.routed_scaling_factor = meta.number_or("expert_weights_scale", 1.0);
}

void read_noaux_tc(const JsonConfig& json, ModelConfig& c) {
  c.first_k_dense_replace = std::min(c.layer_count, json.integer("first_k_dense_replace", 0, kMaxLayers));
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.shared_expert_count = json.integer_or("n_shared_experts", 0, 0, kMaxExperts);  // DeepSeek's own files: null is none
  read_noaux_router(json, c);
}

void read_noaux_router(const JsonConfig& json, ModelConfig& c) {
  c.router.expert_count = json.integer("n_routed_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.group_count = json.integer("n_group", 1, kMaxExperts);
  c.router.topk_group = json.integer("topk_group", 1, kMaxExperts);
  set_noaux_rules(c);
  c.router.norm_topk_prob = json.boolean("norm_topk_prob");
  c.router.routed_scaling_factor = json.number("routed_scaling_factor");
}

}  // namespace moe::inline MOE_ABI::arch

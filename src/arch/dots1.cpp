// dots.llm1: Qwen3's attention (q and k norm per head before RoPE) with DeepSeek-V3's routing and shared experts.
// Source: arXiv:2506.05767, section 2; transformers, modeling_dots1.
#include <fmt/format.h>

#include "arch/common.hpp"
#include "arch/family.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

Result<ModelConfig> from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "dots1");
  read_gqa(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qk_norm = true;
  c.first_k_dense_replace = json.integer_or("first_k_dense_replace", 0, 0, kMaxLayers);
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.shared_expert_count = json.integer_or("n_shared_experts", 0, 0, kMaxExperts);
  c.router.expert_count = json.integer("n_routed_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.group_count = json.integer_or("n_group", 1, 1, kMaxExperts);
  c.router.topk_group = json.integer_or("topk_group", 1, 1, kMaxExperts);
  c.router.score = RouterScore::sigmoid;
  c.router.group_score = GroupScore::top2_sum;
  c.router.selection_bias = true;
  c.router.norm_topk_prob = json.boolean_or("norm_topk_prob", false);
  c.router.routed_scaling_factor = json.number_or("routed_scaling_factor", 1.0);
  if (json.string_or("scoring_func", "sigmoid") != "sigmoid" || json.string_or("topk_method", "noaux_tc") != "noaux_tc")
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: scoring_func '{}' with topk_method '{}', expected "
                                                    "'sigmoid' with 'noaux_tc'",
                                                    json.string_or("scoring_func", "sigmoid"),
                                                    json.string_or("topk_method", "noaux_tc")));
  if (json.has("sliding_window"))
    json.refuse(ErrorCode::unsupported, "config.json: sliding_window is set, which libmoe does not support here");
  refuse_true(json, {"attention_bias"});
  if (auto ok = json.status(); !ok) return forward(ok);
  return c;
}

}  // namespace

const Family kDots1 = {"dots1", "", "Dots1ForCausalLM", from_hf, nullptr};

}  // namespace moe::inline MOE_ABI::arch

// DeepSeek-V2, V2-Lite and DeepSeek-V3 (R1, Moonlight, Kimi-K2): MLA with compressed cache, shared experts, first layers
// dense. V2 routes by softmax, groups ranked by their best expert, and never renormalises; V3 by sigmoid with a selection
// bias, groups ranked by their best two. Sources: DeepSeek-V2 report (arXiv:2405.04434), section 2; DeepSeek-V3 report
// (arXiv:2412.19437), section 2.1; transformers, modeling_deepseek_v2 and modeling_deepseek_v3.
#include <fmt/format.h>

#include <cmath>

#include "arch/common.hpp"
#include "arch/family.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

void set_mla(ModelConfig& c) {
  c.attention = AttentionKind::mla;
  c.head_dim = c.qk_nope_head_dim + c.qk_rope_head_dim;
  c.kv_head_count = c.head_count;
  c.softmax_scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
}

void set_v3_router(RouterConfig& r) {
  r.score = RouterScore::sigmoid;
  r.group_score = GroupScore::top2_sum;
  r.selection_bias = true;
}

void set_v2_router(RouterConfig& r) {
  r.score = RouterScore::softmax;
  r.group_score = GroupScore::max;
}

// What both generations share; the router's rule is the caller's.
ModelConfig read_hf(const JsonConfig& json, std::string_view family) {
  ModelConfig c = read_common(json, family);
  c.q_lora_rank = json.integer_or("q_lora_rank", 0, 0, kMaxWidth);
  c.kv_lora_rank = json.integer("kv_lora_rank", 1, kMaxWidth);
  c.qk_nope_head_dim = json.integer("qk_nope_head_dim", 1, kMaxWidth);
  c.qk_rope_head_dim = json.integer("qk_rope_head_dim", 1, kMaxWidth);
  c.v_head_dim = json.integer("v_head_dim", 1, kMaxWidth);
  set_mla(c);
  read_rope(json, json.boolean_or("rope_interleave", true) ? RopeStyle::interleaved : RopeStyle::half_split, c);

  c.first_k_dense_replace = json.integer_or("first_k_dense_replace", 0, 0, kMaxLayers);
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.shared_expert_count = json.integer_or("n_shared_experts", 0, 0, kMaxExperts);
  c.router.expert_count = json.integer("n_routed_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.group_count = json.integer_or("n_group", 1, 1, kMaxExperts);
  c.router.topk_group = json.integer_or("topk_group", 1, 1, kMaxExperts);
  c.router.routed_scaling_factor = json.number_or("routed_scaling_factor", 1.0);
  c.mtp_layer_count = json.integer_or("num_nextn_predict_layers", 0, 0, 16);
  if (const std::int64_t frequency = json.integer_or("moe_layer_freq", 1, 1, kMaxLayers); frequency != 1)
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: moe_layer_freq is {}, expected 1", frequency));
  refuse_true(json, {"attention_bias"});
  return c;
}

Result<ModelConfig> v2_from_hf(const JsonConfig& json) {
  ModelConfig c = read_hf(json, "deepseek_v2");
  set_v2_router(c.router);
  const std::string method = json.string_or("topk_method", "greedy");
  if (json.string_or("scoring_func", "softmax") != "softmax" ||
      (method != "greedy" && method != "group_limited_greedy"))
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: scoring_func '{}' with topk_method '{}', expected "
                                                    "'softmax' with 'greedy' or 'group_limited_greedy'",
                                                    json.string_or("scoring_func", "softmax"), method));
  if (method == "greedy") {  // groups in the file are not used, but they must make sense
    if (auto ok = validate(c.router); !ok) json.refuse(ok.error().code, ok.error().message);
    c.router.group_count = c.router.topk_group = 1;
  }
  // DeepSeek's code would renormalise here, transformers ignores the switch; no published model sets it.
  refuse_true(json, {"norm_topk_prob"});
  if (auto ok = json.status(); !ok) return forward(ok);
  return c;
}

Result<ModelConfig> v3_from_hf(const JsonConfig& json) {
  ModelConfig c = read_hf(json, "deepseek_v3");
  set_v3_router(c.router);
  c.router.norm_topk_prob = json.boolean_or("norm_topk_prob", true);
  if (json.string_or("scoring_func", "sigmoid") != "sigmoid" || json.string_or("topk_method", "noaux_tc") != "noaux_tc")
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: scoring_func '{}' with topk_method '{}', expected "
                            "'sigmoid' with 'noaux_tc'",
                            json.string_or("scoring_func", "sigmoid"), json.string_or("topk_method", "noaux_tc")));
  if (auto ok = json.status(); !ok) return forward(ok);
  return c;
}

Result<ModelConfig> from_gguf(const checkpoint::Checkpoint& file) {
  GgufConfig meta(file, "deepseek2");
  ModelConfig c = read_common(meta, "deepseek_v3");
  c.mtp_layer_count = meta.integer_or("nextn_predict_layers", 0, 0, 16);
  c.layer_count -= c.mtp_layer_count;
  c.q_lora_rank = meta.integer_or("attention.q_lora_rank", 0, 0, kMaxWidth);
  c.kv_lora_rank = meta.integer("attention.kv_lora_rank", 1, kMaxWidth);
  c.qk_rope_head_dim = meta.integer("rope.dimension_count", 1, kMaxWidth);
  // Files from before the absorbed layout give the per-head lengths without "_mla".
  const bool absorbed = meta.has("attention.key_length_mla");
  const std::int64_t qk = meta.integer(absorbed ? "attention.key_length_mla" : "attention.key_length", 1, kMaxWidth);
  c.v_head_dim = meta.integer(absorbed ? "attention.value_length_mla" : "attention.value_length", 1, kMaxWidth);
  c.qk_nope_head_dim = qk - c.qk_rope_head_dim;
  set_mla(c);
  read_rope(meta, RopeStyle::interleaved, c);

  c.first_k_dense_replace = meta.integer_or("leading_dense_block_count", 0, 0, kMaxLayers);
  c.moe_intermediate_size = meta.integer("expert_feed_forward_length", 1, kMaxWidth);
  c.shared_expert_count = meta.integer_or("expert_shared_count", 0, 0, kMaxExperts);
  c.router.expert_count = meta.integer("expert_count", 1, kMaxExperts);
  c.router.top_k = meta.integer("expert_used_count", 1, kMaxExperts);
  read_groups(meta, c);
  c.router.norm_topk_prob = meta.boolean_or("expert_weights_norm", false);
  c.router.routed_scaling_factor = meta.number_or("expert_weights_scale", 1.0);
  // Both generations are "deepseek2" in GGUF; the gating function tells them apart (absent in the first V2 files).
  const std::int64_t gating = meta.integer_or("expert_gating_func", 1, 0, 255);
  if (gating == 1)
    set_v2_router(c.router);
  else if (gating == 2)
    set_v3_router(c.router);
  else
    meta.refuse(ErrorCode::unsupported,
                fmt::format("deepseek2.expert_gating_func is {}, expected 1 (softmax, DeepSeek-V2) "
                            "or 2 (sigmoid, DeepSeek-V3)",
                            gating));
  c.family = gating == 1 ? "deepseek_v2" : "deepseek_v3";
  if (auto ok = meta.status(); !ok) return forward(ok);
  return c;
}

}  // namespace

const Family kDeepseekV2 = {"deepseek_v2", "deepseek2", "DeepseekV2ForCausalLM", v2_from_hf, nullptr};
const Family kDeepseekV3 = {"deepseek_v3", "deepseek2", "DeepseekV3ForCausalLM", v3_from_hf, from_gguf};

}  // namespace moe::inline MOE_ABI::arch

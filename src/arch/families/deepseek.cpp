// DeepSeek-V2, V2-Lite, DeepSeek-V3 (R1, Moonlight, Kimi-K2), GLM-4.7-Flash, DeepSeek-V3.2 and GLM-5: MLA with compressed
// cache, shared experts, first layers dense. V2 routes by softmax, groups ranked by their best expert, and never renormalises; V3 by
// sigmoid with a selection bias, groups ranked by their best two. V3.2 and GLM-5 attend to the keys that an indexer
// chooses. Sources: DeepSeek-V2 report (arXiv:2405.04434), section 2; DeepSeek-V3 report (arXiv:2412.19437), section 2.1;
// DeepSeek-V3.2-Exp report, section 2; transformers, modeling_deepseek_v2, _v3, _v32, modeling_glm4_moe_lite,
// modeling_glm_moe_dsa.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "arch/common_fields.hpp"
#include "arch/dense_layers.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/indexer.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "moe/router.hpp"

namespace moe::inline MOE_ABI::arch {
namespace deepseek {

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

// Common to both generations, except the router's rule.
ModelConfig read_hf(const JsonConfig& json, std::string_view family, RopeStyle style) {
  ModelConfig c = read_common(json, family);
  c.q_lora_rank = json.integer_or("q_lora_rank", 0, 0, kMaxWidth);
  c.kv_lora_rank = json.integer("kv_lora_rank", 1, kMaxWidth);
  c.qk_nope_head_dim = json.integer("qk_nope_head_dim", 1, kMaxWidth);
  c.qk_rope_head_dim = json.integer("qk_rope_head_dim", 1, kMaxWidth);
  c.v_head_dim = json.integer("v_head_dim", 1, kMaxWidth);
  set_mla(c);
  read_rope(json, style, c);

  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.shared_expert_count = json.integer_or("n_shared_experts", 0, 0, kMaxExperts);
  c.router.expert_count = json.integer("n_routed_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.routed_scaling_factor = json.number("routed_scaling_factor");
  c.mtp_layer_count = json.integer_or("num_nextn_predict_layers", 0, 0, 16);
  return c;
}

void read_groups(const JsonConfig& json, RouterConfig& r) {
  r.group_count = json.integer("n_group", 1, kMaxExperts);
  r.topk_group = json.integer("topk_group", 1, kMaxExperts);
}

// norm_topk_prob is not read, so true is refused: DeepSeek's code would renormalise, transformers ignores it, and no
// published model sets it.
ModelConfig v2_from_hf(const JsonConfig& json) {
  ModelConfig c = read_hf(json, "deepseek_v2", RopeStyle::interleaved);
  c.first_k_dense_replace = std::min(c.layer_count, json.integer("first_k_dense_replace", 0, kMaxLayers));
  set_v2_router(c.router);
  const std::string method = json.string_or("topk_method", "null");
  if (method == "group_limited_greedy") {
    read_groups(json, c.router);
  } else if (method == "greedy") {  // groups in the file are not used, but must be valid
    c.router.group_count = json.integer_or("n_group", 1, 1, kMaxExperts);
    c.router.topk_group = json.integer_or("topk_group", 1, 1, kMaxExperts);
    if (auto ok = validate(c.router); !ok) json.refuse(ok.error().code, ok.error().message);
    c.router.group_count = c.router.topk_group = 1;
  } else {
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: topk_method is '{}', expected 'greedy' or 'group_limited_greedy'",
                            method.substr(0, 60)));
  }
  return c;
}

ModelConfig read_v3(const JsonConfig& json, std::string_view family) {
  const bool interleaved = json.boolean("rope_interleave");
  ModelConfig c = read_hf(json, family, interleaved ? RopeStyle::interleaved : RopeStyle::half_split);
  set_v3_router(c.router);
  read_groups(json, c.router);
  c.router.norm_topk_prob = json.boolean("norm_topk_prob");
  return c;
}

ModelConfig v3_from_hf(const JsonConfig& json) {
  ModelConfig c = read_v3(json, "deepseek_v3");
  c.first_k_dense_replace = std::min(c.layer_count, json.integer("first_k_dense_replace", 0, kMaxLayers));
  return c;
}

// GLM-4.7-Flash is DeepSeek-V3 under another name.
ModelConfig glm4_moe_lite_from_hf(const JsonConfig& json) {
  ModelConfig c = read_v3(json, "glm4_moe_lite");
  read_dense_layers(json, 1, c);
  json.integer("num_key_value_heads", 1, kMaxWidth);  // the class refuses null, although MLA does not use it
  return c;
}

// DeepSeek-V3 whose layers have an indexer. RoPE of MLA is interleaved in both families, that of the indexer in GLM-5 alone.
ModelConfig read_sparse(const JsonConfig& json, std::string_view family, RopeStyle indexer_style) {
  ModelConfig c = read_hf(json, family, RopeStyle::interleaved);
  json.integer("q_lora_rank", 1, kMaxWidth);  // the indexer's queries are made from compressed ones
  // Not used, but null is refused: the class sets head_dim to qk_rope_head_dim.
  for (const char* key : {"num_key_value_heads", "head_dim"}) json.integer(key, 1, kMaxWidth);
  read_dense_layers(json, 3, c);
  set_v3_router(c.router);
  read_groups(json, c.router);
  c.router.norm_topk_prob = json.boolean("norm_topk_prob");
  read_indexer(json, indexer_style, c);
  return c;
}

ModelConfig v32_from_hf(const JsonConfig& json) { return read_sparse(json, "deepseek_v32", RopeStyle::half_split); }

ModelConfig glm_moe_dsa_from_hf(const JsonConfig& json) {
  ModelConfig c = read_sparse(json, "glm_moe_dsa", RopeStyle::interleaved);
  read_indexer_types(json, c);
  return c;
}

// All but the router's rule.
ModelConfig read_gguf(GgufConfig& meta, std::string_view family) {
  ModelConfig c = read_common(meta, family);
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
  for (const char* unused : {"attention.head_count_kv", "attention.key_length", "attention.value_length"})
    meta.has(unused);
  return c;
}

bool has_selection_bias(GgufConfig& meta, const ModelConfig& c) {
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    if (meta.file().find(tensor_name(checkpoint::Kind::gguf, Role::router_bias, l)) != nullptr) return true;
  return false;
}

// Both generations are "deepseek2" in GGUF; the gating function distinguishes them. The first V2 files have none, and
// neither have those of GLM-4.7-Flash, whose config.json does not name it: only V3's router has a selection bias.
ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_gguf(meta, "deepseek_v3");
  std::int64_t gating = meta.integer_or("expert_gating_func", 0, 0, 255);
  if (gating == 0) gating = has_selection_bias(meta, c) ? 2 : 1;
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
  // Files from before groups were stored, by the number of experts that DeepSeek-V3 and R1 have.
  if (gating == 2 && c.router.expert_count == 256 && !meta.has("expert_group_count"))
    meta.note(
        "the file has no expert_group_count: experts are chosen without groups, as in llama.cpp; DeepSeek-V3's own "
        "configuration takes them from 4 of 8 groups");
  return c;
}

ModelConfig read_sparse_gguf(GgufConfig& meta, std::string_view family, RopeStyle indexer_style) {
  ModelConfig c = read_gguf(meta, family);
  set_v3_router(c.router);
  meta.integer("attention.q_lora_rank", 1, kMaxWidth);
  if (const std::int64_t gating = meta.integer_or("expert_gating_func", 2, 0, 255); gating != 2)
    meta.refuse(ErrorCode::unsupported, fmt::format("expert_gating_func is {}, expected 2 (sigmoid)", gating));
  read_indexer(meta, indexer_style, c);
  return c;
}

ModelConfig v32_from_gguf(GgufConfig& meta) { return read_sparse_gguf(meta, "deepseek_v32", RopeStyle::half_split); }

ModelConfig glm_moe_dsa_from_gguf(GgufConfig& meta) {
  ModelConfig c = read_sparse_gguf(meta, "glm_moe_dsa", RopeStyle::interleaved);
  read_indexer_types(meta, c);
  return c;
}

}  // namespace deepseek

const Family kDeepseekV2 = {.name = "deepseek_v2",
                            .gguf_architecture = "deepseek2",
                            .hf_architecture = "DeepseekV2ForCausalLM",
                            .from_hf = deepseek::v2_from_hf,
                            .from_gguf = nullptr};
const Family kDeepseekV3 = {.name = "deepseek_v3",
                            .gguf_architecture = "deepseek2",
                            .hf_architecture = "DeepseekV3ForCausalLM",
                            .from_hf = deepseek::v3_from_hf,
                            .from_gguf = deepseek::from_gguf,
                            .has_mtp = true};
const Family kGlm4MoeLite = {.name = "glm4_moe_lite",
                             .gguf_architecture = "deepseek2",
                             .hf_architecture = "Glm4MoeLiteForCausalLM",
                             .from_hf = deepseek::glm4_moe_lite_from_hf,
                             .from_gguf = nullptr,
                             .has_mtp = true};
const Family kDeepseekV32 = {.name = "deepseek_v32",
                             .gguf_architecture = "deepseek32",
                             .hf_architecture = "DeepseekV32ForCausalLM",
                             .from_hf = deepseek::v32_from_hf,
                             .from_gguf = deepseek::v32_from_gguf,
                             .has_mtp = true};
const Family kGlmMoeDsa = {.name = "glm_moe_dsa",
                           .gguf_architecture = "glm-dsa",
                           .hf_architecture = "GlmMoeDsaForCausalLM",
                           .from_hf = deepseek::glm_moe_dsa_from_hf,
                           .from_gguf = deepseek::glm_moe_dsa_from_gguf,
                           .has_mtp = true};

}  // namespace moe::inline MOE_ABI::arch

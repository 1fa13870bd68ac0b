// Hunyuan V1, dense and MoE (A13B): Llama's attention with RMSNorm of each q and k head behind RoPE, RoPE with a fixed
// alpha-NTK base, tied head; MoE: softmax top-k renormalised, one ungated shared expert in every layer.
// Source: transformers, modeling_hunyuan_v1_dense and modeling_hunyuan_v1_moe.
#include <fmt/format.h>

#include "arch/common.hpp"
#include "arch/family.hpp"
#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

constexpr TensorName kNames[] = {
    {Role::q_norm, "model.layers.{l}.self_attn.query_layernorm.weight"},
    {Role::k_norm, "model.layers.{l}.self_attn.key_layernorm.weight"},
    {Role::router, "model.layers.{l}.mlp.gate.wg.weight"},
    {Role::shared_gate, "model.layers.{l}.mlp.shared_mlp.gate_proj.weight"},
    {Role::shared_up, "model.layers.{l}.mlp.shared_mlp.up_proj.weight"},
    {Role::shared_down, "model.layers.{l}.mlp.shared_mlp.down_proj.weight"},
};

/// "dynamic" with an alpha is no dynamic rule: the base is theta * alpha^(d / (d - 2)) whatever the length; the other
/// numbers beside it are not used.
void read_hunyuan_rope(const JsonConfig& json, ModelConfig& c) {
  const JsonConfig scaling = json.object(json.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
  const std::string type = scaling.string_or("rope_type", scaling.string_or("type", "default"));
  if (type != "dynamic") return read_rope(json, RopeStyle::half_split, c);
  const double alpha = scaling.number_or("alpha", 0.0), d = static_cast<double>(c.head_dim);
  c.rope.theta = scaling.has("rope_theta") ? scaling.number("rope_theta") : json.number_or("rope_theta", 10000.0);
  if (alpha >= 1e-3 && alpha <= 1e9 && c.head_dim > 2)
    c.rope.theta *= detail::pow(alpha, d / (d - 2.0));
  else
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: rope type 'dynamic' with alpha {} and heads of {} values, "
                            "expected an alpha from 0.001 to 1e9 and larger heads",
                            alpha, c.head_dim));
}

ModelConfig read_hunyuan(const JsonConfig& json, std::string_view family) {
  ModelConfig c = read_common(json, family);
  read_gqa(json, c);
  if (const std::int64_t twin = json.integer_or("attention_head_dim", c.head_dim, 1, kMaxWidth); twin != c.head_dim)
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: attention_head_dim is {}, expected head_dim ({})", twin, c.head_dim));
  read_hunyuan_rope(json, c);
  full_attention_only(json);
  c.qk_norm = QkNorm::head_after_rope;
  c.qkv_bias = c.o_bias = json.boolean_or("attention_bias", false);
  refuse_true(json, {"mlp_bias", "use_cla", "use_mla", "position_embedding_xdrope"});
  for (const char* key : {"use_qk_norm", "use_rotary_pos_emb"})
    if (json.is_false(key))
      json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is false, which libmoe does not support", key));
  if (const std::string norm = json.string_or("norm_type", "rms"); norm != "rms")
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: norm_type is '{}', expected 'rms'", norm.substr(0, 60)));
  return c;
}

Result<ModelConfig> dense_from_hf(const JsonConfig& json) {
  ModelConfig c = read_hunyuan(json, "hunyuan_v1_dense");
  if (auto ok = json.status(); !ok) return forward(ok);
  return c;
}

/// Numbers that must have the one value that the published code computes with; `false` is how these files say none.
void expect(const JsonConfig& json, std::string_view key, std::int64_t value) {
  if (!json.has(key) || json.is_false(key)) return;
  if (const std::int64_t found = json.uniform_integer(key, 0, kMaxWidth); found != value)
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is {}, expected {}", key, found, value));
}

Result<ModelConfig> moe_from_hf(const JsonConfig& json) {
  ModelConfig c = read_hunyuan(json, "hunyuan_v1_moe");
  c.moe_intermediate_size = json.integer("intermediate_size", 1, kMaxWidth);
  c.shared_expert_count = 1;
  c.router.expert_count = json.uniform_integer("num_experts", 1, kMaxExperts);
  c.router.top_k = json.uniform_integer("moe_topk", 1, kMaxExperts);
  c.router.score = RouterScore::softmax;
  c.router.norm_topk_prob = true;
  expect(json, "moe_intermediate_size", c.moe_intermediate_size);
  expect(json, "num_shared_expert", 1);
  expect(json, "n_group", 1);
  expect(json, "topk_group", 1);
  expect(json, "routed_scaling_factor", 1);
  expect(json, "moe_layer_num_skipped", 0);
  refuse_true(json, {"group_limited_greedy"});
  for (const char* key : {"norm_topk_prob", "use_mixed_mlp_moe"})
    if (json.is_false(key))
      json.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: {} is false, which libmoe does not support here", key));
  if (auto ok = json.status(); !ok) return forward(ok);
  return c;
}

/// The base in the file has alpha in it already.
ModelConfig read_hunyuan(GgufConfig& meta, std::string_view family) {
  ModelConfig c = read_common(meta, family);
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::head_after_rope;
  return c;
}

Result<ModelConfig> dense_from_gguf(const checkpoint::Checkpoint& file) {
  GgufConfig meta(file, "hunyuan-dense");
  ModelConfig c = read_hunyuan(meta, "hunyuan_v1_dense");
  if (auto ok = meta.status(); !ok) return forward(ok);
  return c;
}

Result<ModelConfig> moe_from_gguf(const checkpoint::Checkpoint& file) {
  GgufConfig meta(file, "hunyuan-moe");
  ModelConfig c = read_hunyuan(meta, "hunyuan_v1_moe");
  read_experts(meta, meta.has("expert_feed_forward_length") ? "expert_feed_forward_length" : "feed_forward_length", c);
  c.shared_expert_count = meta.integer_or("expert_shared_count", 1, 1, kMaxExperts);
  c.shared_expert_intermediate_size =
      meta.integer_or("expert_shared_feed_forward_length", c.intermediate_size, 1, kMaxWidth);
  c.router.score = RouterScore::softmax;
  c.router.norm_topk_prob = true;
  if (auto ok = meta.status(); !ok) return forward(ok);
  return c;
}

}  // namespace

const Family kHunyuanDense = {"hunyuan_v1_dense", "hunyuan-dense", "HunYuanDenseV1ForCausalLM",
                              dense_from_hf,      dense_from_gguf, kNames};
const Family kHunyuanMoe = {"hunyuan_v1_moe", "hunyuan-moe", "HunYuanMoEV1ForCausalLM",
                            moe_from_hf,      moe_from_gguf, kNames};

}  // namespace moe::inline MOE_ABI::arch

// Hunyuan V1, dense and MoE (A13B): Llama's attention with RMSNorm of each q and k head after RoPE, RoPE with a fixed
// alpha-NTK base, tied head; MoE: softmax top-k renormalised, one ungated shared expert in every layer.
// Source: transformers, modeling_hunyuan_v1_dense and modeling_hunyuan_v1_moe.
#include <fmt/format.h>

#include "arch/common_fields.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace hunyuan {

constexpr TensorName kNames[] = {
    {Role::q_norm, "model.layers.{l}.self_attn.query_layernorm.weight"},
    {Role::k_norm, "model.layers.{l}.self_attn.key_layernorm.weight"},
    {Role::router, "model.layers.{l}.mlp.gate.wg.weight"},
    {Role::shared_gate, "model.layers.{l}.mlp.shared_mlp.gate_proj.weight"},
    {Role::shared_up, "model.layers.{l}.mlp.shared_mlp.up_proj.weight"},
    {Role::shared_down, "model.layers.{l}.mlp.shared_mlp.down_proj.weight"},
};

/// Switches of unpublished code: each must have the value that the published code assumes. These files write zero
/// experts or groups as `false`.
void expect(const JsonConfig& json, std::string_view key, std::int64_t value) {
  if (!json.has(key) || json.is_false(key)) return;
  if (const std::int64_t found = json.uniform_integer(key, 0, kMaxWidth); found != value)
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is {}, expected {}", key, found, value));
}
void expect_true(const JsonConfig& json, std::string_view key) {
  if (!json.boolean_or(key, true))
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: {} is false, which libmoe does not support here", key));
}

ModelConfig read_hunyuan(const JsonConfig& json, std::string_view family) {
  ModelConfig c = read_common(json, family);
  read_gqa(json, c);
  expect(json, "attention_head_dim", c.head_dim);
  read_rope(json, RopeStyle::half_split, c, OwnRope::alpha);
  c.qk_norm = QkNorm::head_after_rope;
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  return c;
}

ModelConfig dense_from_hf(const JsonConfig& json) {
  ModelConfig c = read_hunyuan(json, "hunyuan_v1_dense");
  return c;
}

ModelConfig moe_from_hf(const JsonConfig& json) {
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
  if (json.has("routed_scaling_factor") && !json.is_false("routed_scaling_factor"))
    if (const double scale = json.number("routed_scaling_factor"); scale != 1.0)
      json.refuse(ErrorCode::unsupported, fmt::format("config.json: routed_scaling_factor is {}, expected 1", scale));
  expect(json, "moe_layer_num_skipped", 0);
  for (const char* key : {"norm_topk_prob", "use_mixed_mlp_moe"}) expect_true(json, key);
  return c;
}

/// The base in the file includes alpha.
ModelConfig read_hunyuan(GgufConfig& meta, std::string_view family) {
  ModelConfig c = read_common(meta, family);
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::head_after_rope;
  return c;
}

ModelConfig dense_from_gguf(GgufConfig& meta) {
  ModelConfig c = read_hunyuan(meta, "hunyuan_v1_dense");
  return c;
}

ModelConfig moe_from_gguf(GgufConfig& meta) {
  ModelConfig c = read_hunyuan(meta, "hunyuan_v1_moe");
  read_experts(meta, meta.has("expert_feed_forward_length") ? "expert_feed_forward_length" : "feed_forward_length", c);
  c.shared_expert_count = meta.integer_or("expert_shared_count", 1, 1, kMaxExperts);
  c.shared_expert_intermediate_size =
      meta.integer_or("expert_shared_feed_forward_length", c.intermediate_size, 1, kMaxWidth);
  c.router.score = RouterScore::softmax;
  c.router.norm_topk_prob = true;
  return c;
}

}  // namespace hunyuan

const Family kHunyuanDense = {.name = "hunyuan_v1_dense",
                              .gguf_architecture = "hunyuan-dense",
                              .hf_architecture = "HunYuanDenseV1ForCausalLM",
                              .from_hf = hunyuan::dense_from_hf,
                              .from_gguf = hunyuan::dense_from_gguf,
                              .hf_names = hunyuan::kNames};
const Family kHunyuanMoe = {.name = "hunyuan_v1_moe",
                            .gguf_architecture = "hunyuan-moe",
                            .hf_architecture = "HunYuanMoEV1ForCausalLM",
                            .from_hf = hunyuan::moe_from_hf,
                            .from_gguf = hunyuan::moe_from_gguf,
                            .hf_names = hunyuan::kNames};

}  // namespace moe::inline MOE_ABI::arch

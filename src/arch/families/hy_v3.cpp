// Hunyuan 3: GQA with RMSNorm of each q and k head before RoPE (Hunyuan V1: after RoPE); experts chosen by sigmoid and
// a selection bias, weights renormalised and scaled, ungated shared experts, the first layer dense.
// Source: transformers, modeling_hy_v3; the MTP layer: vLLM, hy_v3_mtp.
#include <fmt/format.h>

#include "arch/common_fields.hpp"
#include "arch/dense_layers.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace hy_v3 {

constexpr TensorName kNames[] = {
    {Role::router, "model.layers.{l}.mlp.router.gate.weight"},
    {Role::router_bias, "model.layers.{l}.mlp.expert_bias"},
    {Role::shared_gate, "model.layers.{l}.mlp.shared_mlp.gate_proj.weight"},
    {Role::shared_up, "model.layers.{l}.mlp.shared_mlp.up_proj.weight"},
    {Role::shared_down, "model.layers.{l}.mlp.shared_mlp.down_proj.weight"},
    {Role::mtp_norm, "model.layers.{l}.final_layernorm.weight"},
};
constexpr TensorName kGgufNames[] = {{Role::router_bias, "blk.{l}.exp_probs_b"}};

void set_router(ModelConfig& c) {
  c.qk_norm = QkNorm::head;
  c.router.score = RouterScore::sigmoid;
  c.router.selection_bias = true;
  c.mtp_shares_ends = true;
}

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "hy_v3");
  read_gqa(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  read_dense_layers(json, 1, c);
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.shared_expert_count = json.integer("num_shared_experts", 0, kMaxExperts);
  c.router.expert_count = json.integer("num_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.routed_scaling_factor = json.number("router_scaling_factor");
  c.router.norm_topk_prob = true;
  c.mtp_layer_count = json.integer_or("num_nextn_predict_layers", 0, 0, 16);
  set_router(c);
  for (const char* key : {"route_norm", "moe_router_use_sigmoid"})  // the class supports nothing else
    if (!json.boolean_or(key, true))
      json.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: {} is false, which libmoe does not support here", json.path(key)));
  for (const char* key : {"enable_moe_fp32_combine", "enable_lm_head_fp32", "use_grouped_mm"})
    json.in_file(key);  // all sums are float32
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "hy_v3");
  c.mtp_layer_count = meta.integer_or("nextn_predict_layers", 0, 0, 16);
  c.layer_count -= c.mtp_layer_count;  // block_count counts them
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  read_experts(meta, "expert_feed_forward_length", c);
  c.first_k_dense_replace = meta.integer_or("leading_dense_block_count", 0, 0, kMaxLayers);
  c.shared_expert_intermediate_size = meta.integer_or("expert_shared_feed_forward_length", 0, 0, kMaxWidth);
  c.shared_expert_count =
      meta.integer_or("expert_shared_count", c.shared_expert_intermediate_size > 0 ? 1 : 0, 0, kMaxExperts);
  c.router.norm_topk_prob = meta.boolean_or("expert_weights_norm", true);
  c.router.routed_scaling_factor = meta.number_or("expert_weights_scale", 1.0);
  set_router(c);
  dense_without_router(meta, c);
  return c;
}

}  // namespace hy_v3

const Family kHyV3 = {.name = "hy_v3",
                      .gguf_architecture = "hy_v3",
                      .hf_architecture = "HYV3ForCausalLM",
                      .from_hf = hy_v3::from_hf,
                      .from_gguf = hy_v3::from_gguf,
                      .hf_names = hy_v3::kNames,
                      .gguf_names = hy_v3::kGgufNames,
                      .has_mtp = true};

}  // namespace moe::inline MOE_ABI::arch

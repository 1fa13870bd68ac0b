// MiniMax-M2: GQA with q and k normalised as whole vectors and a part of each head rotated; every layer has experts,
// chosen by sigmoid and a selection bias, weights renormalised, no shared expert. intermediate_size is the width of one
// expert.
// Source: transformers, modeling_minimax_m2.
#include "arch/common_fields.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace minimax_m2 {

constexpr TensorName kNames[] = {
    {Role::router, "model.layers.{l}.block_sparse_moe.gate.weight"},
    {Role::router_bias, "model.layers.{l}.block_sparse_moe.e_score_correction_bias"},
    {Role::expert_gate, "model.layers.{l}.block_sparse_moe.experts.{e}.w1.weight"},
    {Role::expert_up, "model.layers.{l}.block_sparse_moe.experts.{e}.w3.weight"},
    {Role::expert_down, "model.layers.{l}.block_sparse_moe.experts.{e}.w2.weight"},
};

void set_router(ModelConfig& c) {
  c.qk_norm = QkNorm::projection;
  c.router.score = RouterScore::sigmoid;
  c.router.group_score = GroupScore::top2_sum;  // DeepSeek-V3's method, with one group
  c.router.selection_bias = true;
  c.router.norm_topk_prob = true;
}

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "minimax_m2");
  read_gqa(json, c);
  read_partial_rotary(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.moe_intermediate_size = json.integer("intermediate_size", 1, kMaxWidth);
  c.router.expert_count = json.integer("num_local_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  set_router(c);
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "minimax_m2");
  read_gqa(meta, c);
  read_partial_rotary(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  read_experts(meta, "expert_feed_forward_length", c);
  set_router(c);
  return c;
}

}  // namespace minimax_m2

const Family kMinimaxM2 = {.name = "minimax_m2",
                           .gguf_architecture = "minimax-m2",
                           .hf_architecture = "MiniMaxM2ForCausalLM",
                           .from_hf = minimax_m2::from_hf,
                           .from_gguf = minimax_m2::from_gguf,
                           .hf_names = minimax_m2::kNames};

}  // namespace moe::inline MOE_ABI::arch

// LFM2 and LFM2-MoE: most layers mix tokens by a short gated convolution, the others by attention with a norm of each
// head; the first layers of the MoE are dense, the others have experts chosen by sigmoid and a selection bias.
// Source: transformers, modeling_lfm2 and modeling_lfm2_moe; LFM2 report: arXiv:2511.23404.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "arch/common_fields.hpp"
#include "arch/dense_layers.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/hybrid_layers.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace lfm2 {

constexpr TensorName kNames[] = {
    {Role::final_norm, "model.embedding_norm.weight"},
    {Role::attention_norm, "model.layers.{l}.operator_norm.weight"},
    {Role::recurrent_in, "model.layers.{l}.conv.in_proj.weight"},
    {Role::conv, "model.layers.{l}.conv.conv.weight"},
    {Role::recurrent_out, "model.layers.{l}.conv.out_proj.weight"},
    {Role::o, "model.layers.{l}.self_attn.out_proj.weight"},
    {Role::q_norm, "model.layers.{l}.self_attn.q_layernorm.weight"},
    {Role::k_norm, "model.layers.{l}.self_attn.k_layernorm.weight"},
    {Role::ffn_norm, "model.layers.{l}.ffn_norm.weight"},
    {Role::gate, "model.layers.{l}.feed_forward.w1.weight"},
    {Role::up, "model.layers.{l}.feed_forward.w3.weight"},
    {Role::down, "model.layers.{l}.feed_forward.w2.weight"},
    {Role::router, "model.layers.{l}.feed_forward.gate.weight"},
    {Role::router_bias, "model.layers.{l}.feed_forward.expert_bias"},
    {Role::expert_gate, "model.layers.{l}.feed_forward.experts.{e}.w1.weight"},
    {Role::expert_up, "model.layers.{l}.feed_forward.experts.{e}.w3.weight"},
    {Role::expert_down, "model.layers.{l}.feed_forward.experts.{e}.w2.weight"},
    {Role::expert_gate_up, "model.layers.{l}.feed_forward.experts.gate_up_proj"},
    {Role::expert_down_rows, "model.layers.{l}.feed_forward.experts.down_proj"},
};

constexpr TensorName kGgufNames[] = {
    {Role::final_norm, "token_embd_norm.weight"},
    {Role::recurrent_in, "blk.{l}.shortconv.in_proj.weight"},
    {Role::conv, "blk.{l}.shortconv.conv.weight"},
    {Role::recurrent_out, "blk.{l}.shortconv.out_proj.weight"},
};

void set_router(ModelConfig& c) {
  c.router.score = RouterScore::sigmoid;
  c.router.norm_add = 1e-6;
}

/// The width of dense layers, from the one that the file names.
std::int64_t adjusted_width(const JsonConfig& json, std::int64_t named) {
  constexpr std::string_view kFactor = "block_ffn_dim_multiplier";
  const std::int64_t multiple = json.integer("block_multiple_of", 1, kMaxWidth);
  const double factor = json.number_or(kFactor, 0.0);  // null: neither factor nor rounding
  if (!json.boolean("block_auto_adjust_ff_dim")) return named;
  std::int64_t width = 2 * named / 3;
  if (!json.has(kFactor)) return width;
  const double scaled = factor * static_cast<double>(width);
  if (!(scaled >= 1.0 && scaled <= static_cast<double>(kMaxWidth))) {
    json.refuse(ErrorCode::bad_config,
                fmt::format("config.json: {} is {}, expected a factor that makes of the width {} one from 1 to {}",
                            json.path(kFactor), factor, width, kMaxWidth));
    return width;
  }
  width = static_cast<std::int64_t>(scaled);
  return (width + multiple - 1) / multiple * multiple;
}

ModelConfig read_text(const JsonConfig& json, std::string_view family) {
  ModelConfig c = read_common(json, family);
  // The older name counts, as in transformers.
  if (json.in_file("tie_embedding")) c.tie_word_embeddings = json.boolean("tie_embedding");
  read_gqa(json, c);
  read_rope(json, RopeStyle::half_split, c);
  read_short_conv_layers(json, c);
  c.recurrent.conv_kernel = json.integer("conv_L_cache", 1, kMaxTaps);
  if (json.boolean("conv_bias"))
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is true, expected false", json.path("conv_bias")));
  // Sizes again, how the weights were made before training, and choices of other code, as published files have them.
  for (const char* unused :
       {"num_heads", "block_dim", "conv_dim", "conv_dim_out", "block_norm_eps", "block_use_swiglu", "use_pos_enc",
        "block_mlp_init_scale", "block_out_init_scale", "block_use_xavier_init", "conv_use_xavier_init"})
    json.in_file(unused);
  c.qk_norm = QkNorm::head;
  return c;
}

ModelConfig dense_from_hf(const JsonConfig& json) {
  ModelConfig c = read_text(json, "lfm2");
  if (json.in_file("block_ff_dim")) c.intermediate_size = json.integer("block_ff_dim", 0, kMaxWidth);
  c.intermediate_size = adjusted_width(json, c.intermediate_size);
  return c;
}

ModelConfig moe_from_hf(const JsonConfig& json) {
  ModelConfig c = read_text(json, "lfm2_moe");
  c.first_k_dense_replace = std::min(c.layer_count, json.integer("num_dense_layers", 0, kMaxLayers));
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.router.expert_count = json.integer("num_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.selection_bias = json.boolean("use_expert_bias");
  c.router.norm_topk_prob = json.boolean("norm_topk_prob");
  c.router.routed_scaling_factor = json.number("routed_scaling_factor");
  set_router(c);
  return c;
}

ModelConfig read_text(GgufConfig& meta, std::string_view family) {
  ModelConfig c = read_common(meta, family);
  read_layers_by_key_heads(meta, Mixer::short_conv, c);
  read_head_dim(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  c.recurrent.conv_kernel = meta.integer("shortconv.l_cache", 1, kMaxTaps);
  c.qk_norm = QkNorm::head;
  return c;
}

ModelConfig dense_from_gguf(GgufConfig& meta) { return read_text(meta, "lfm2"); }

ModelConfig moe_from_gguf(GgufConfig& meta) {
  ModelConfig c = read_text(meta, "lfm2_moe");
  read_experts(meta, "expert_feed_forward_length", c);
  c.first_k_dense_replace = meta.integer_or("leading_dense_block_count", 0, 0, kMaxLayers);
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    c.router.selection_bias |= meta.file().find(tensor_name(checkpoint::Kind::gguf, Role::router_bias, l)) != nullptr;
  c.router.norm_topk_prob = meta.boolean_or("expert_weights_norm", true);  // rarely stored; every published model does
  c.router.routed_scaling_factor = meta.number_or("expert_weights_scale", 1.0);
  set_router(c);
  return c;
}

}  // namespace lfm2

const Family kLfm2 = {.name = "lfm2",
                      .gguf_architecture = "lfm2",
                      .hf_architecture = "Lfm2ForCausalLM",
                      .from_hf = lfm2::dense_from_hf,
                      .from_gguf = lfm2::dense_from_gguf,
                      .hf_names = lfm2::kNames,
                      .gguf_names = lfm2::kGgufNames};
const Family kLfm2Moe = {.name = "lfm2_moe",
                         .gguf_architecture = "lfm2moe",
                         .hf_architecture = "Lfm2MoeForCausalLM",
                         .from_hf = lfm2::moe_from_hf,
                         .from_gguf = lfm2::moe_from_gguf,
                         .hf_names = lfm2::kNames,
                         .gguf_names = lfm2::kGgufNames,
                         .hf_expert_rows = true};

}  // namespace moe::inline MOE_ABI::arch

// Qwen3-Next and Qwen3.5: three of four layers are gated delta nets, the others attention with an output gate, a norm of
// each head, and RoPE of a quarter of it; experts with a gated shared one, or a dense FFN (Qwen3.5).
// Source: transformers, modeling_qwen3_next, modeling_qwen3_5 and modeling_qwen3_5_moe; Gated DeltaNet: arXiv:2412.06464;
// the MTP layer, which is one of attention: vLLM, qwen3_next_mtp.
#include <fmt/format.h>

#include "arch/common_fields.hpp"
#include "arch/dense_layers.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/hybrid_layers.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace qwen3_next {

constexpr TensorName kNames[] = {
    {Role::recurrent_qkvz, "model.layers.{l}.linear_attn.in_proj_qkvz.weight"},
    {Role::recurrent_ba, "model.layers.{l}.linear_attn.in_proj_ba.weight"},
    {Role::recurrent_in, "model.layers.{l}.linear_attn.in_proj_qkv.weight"},
    {Role::recurrent_z, "model.layers.{l}.linear_attn.in_proj_z.weight"},
    {Role::recurrent_b, "model.layers.{l}.linear_attn.in_proj_b.weight"},
    {Role::recurrent_a, "model.layers.{l}.linear_attn.in_proj_a.weight"},
    {Role::conv, "model.layers.{l}.linear_attn.conv1d.weight"},
    {Role::recurrent_dt_bias, "model.layers.{l}.linear_attn.dt_bias"},
    {Role::recurrent_a_log, "model.layers.{l}.linear_attn.A_log"},
    {Role::recurrent_norm, "model.layers.{l}.linear_attn.norm.weight"},
    {Role::recurrent_out, "model.layers.{l}.linear_attn.out_proj.weight"},
    {Role::shared_gate, "model.layers.{l}.mlp.shared_expert.gate_proj.weight"},
    {Role::shared_up, "model.layers.{l}.mlp.shared_expert.up_proj.weight"},
    {Role::shared_down, "model.layers.{l}.mlp.shared_expert.down_proj.weight"},
    {Role::shared_expert_gate, "model.layers.{l}.mlp.shared_expert_gate.weight"},
    {Role::expert_gate_up, "model.layers.{l}.mlp.experts.gate_up_proj"},
    {Role::expert_down_rows, "model.layers.{l}.mlp.experts.down_proj"},
    {Role::mtp_embedding, "mtp.embed_tokens.weight"},
    {Role::mtp_norm, "mtp.norm.weight"},
    {Role::mtp_embedding_norm, "mtp.pre_fc_norm_embedding.weight"},
    {Role::mtp_state_norm, "mtp.pre_fc_norm_hidden.weight"},
    {Role::mtp_projection, "mtp.fc.weight"},
};

constexpr TensorName kGgufNames[] = {
    {Role::recurrent_qkvz, "blk.{l}.ssm_in.weight"}, {Role::recurrent_ba, "blk.{l}.ssm_ba.weight"},
    {Role::recurrent_in, "blk.{l}.attn_qkv.weight"}, {Role::recurrent_z, "blk.{l}.attn_gate.weight"},
    {Role::recurrent_b, "blk.{l}.ssm_beta.weight"},  {Role::recurrent_a, "blk.{l}.ssm_alpha.weight"},
    {Role::conv, "blk.{l}.ssm_conv1d.weight"},       {Role::recurrent_dt_bias, "blk.{l}.ssm_dt.bias"},
    {Role::recurrent_a_log, "blk.{l}.ssm_a"},        {Role::recurrent_norm, "blk.{l}.ssm_norm.weight"},
    {Role::recurrent_out, "blk.{l}.ssm_out.weight"}, {Role::ffn_norm, "blk.{l}.post_attention_norm.weight"},
};

void set_common(ModelConfig& c) {
  c.qk_norm = QkNorm::head;
  c.attention_gate = true;
  c.mtp_shares_ends = true;
  c.router.score = RouterScore::softmax;
}

void read_moe(const JsonConfig& json, bool norm, ModelConfig& c) {
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.shared_expert_intermediate_size = json.integer("shared_expert_intermediate_size", 0, kMaxWidth);
  c.shared_expert_count = c.shared_expert_intermediate_size > 0 ? 1 : 0;
  c.shared_expert_gate = c.shared_expert_count > 0;
  c.router.expert_count = json.integer("num_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.norm_topk_prob = norm;
  c.mlp_only_layers = json.integers_or_empty("mlp_only_layers");
}

ModelConfig read_text(const JsonConfig& json, std::string_view family) {
  ModelConfig c = read_common(json, family);
  read_gqa(json, c);
  read_partial_rotary(json, c);
  read_rope(json, RopeStyle::half_split, c);
  read_hybrid_layers(json, "linear_attention", Mixer::delta_net, c);
  read_delta_net(json, c);
  if (json.boolean("attention_bias"))
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: {} is true, expected false", json.path("attention_bias")));
  if (!json.boolean_or("attn_output_gate", true))
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: {} is false, expected true", json.path("attn_output_gate")));
  c.mtp_layer_count = json.integer_or("mtp_num_hidden_layers", 0, 0, 16);
  // The type of transformers' states (libmoe's are float32); positions of images, which in a text are the same as the
  // tokens' own.
  for (const char* unused : {"mamba_ssm_dtype", "mtp_use_dedicated_embeddings"}) json.in_file(unused);
  const JsonConfig rope = rope_block(json);
  for (const char* unused : {"mrope_section", "mrope_interleaved"}) rope.in_file(unused);
  set_common(c);
  return c;
}

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_text(json, "qwen3_next");
  read_moe(json, json.boolean("norm_topk_prob"), c);
  keep_moe_layers(json.integer("decoder_sparse_step", 1, kMaxLayers), 0, c.layer_count, c);
  return c;
}
ModelConfig dense_from_hf(const JsonConfig& json) { return read_text(json, "qwen3_5_text"); }
ModelConfig moe_from_hf(const JsonConfig& json) {
  ModelConfig c = read_text(json, "qwen3_5_moe_text");
  read_moe(json, true, c);
  return c;
}

ModelConfig read_text(GgufConfig& meta, std::string_view family) {
  ModelConfig c = read_common(meta, family);
  read_gqa(meta, c);
  read_partial_rotary(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  c.mtp_layer_count = meta.integer_or("nextn_predict_layers", 0, 0, 16);
  c.layer_count -= c.mtp_layer_count;   // block_count counts them
  meta.has("rope.dimension_sections");  // of images
  read_hybrid_layers(meta, Mixer::delta_net, c);
  read_states(meta, c);
  set_common(c);
  return c;
}

void read_moe(GgufConfig& meta, ModelConfig& c) {
  read_experts(meta, "expert_feed_forward_length", c);
  c.shared_expert_intermediate_size = meta.integer_or("expert_shared_feed_forward_length", 0, 0, kMaxWidth);
  c.shared_expert_count = c.shared_expert_intermediate_size > 0 ? 1 : 0;
  c.shared_expert_gate = c.shared_expert_count > 0;
  c.router.norm_topk_prob = true;  // not stored; every published model has it on
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_text(meta, "qwen3_next");
  read_moe(meta, c);
  dense_without_router(meta, c);
  return c;
}
ModelConfig dense_from_gguf(GgufConfig& meta) { return read_text(meta, "qwen3_5_text"); }
ModelConfig moe_from_gguf(GgufConfig& meta) {
  ModelConfig c = read_text(meta, "qwen3_5_moe_text");
  read_moe(meta, c);
  return c;
}

}  // namespace qwen3_next

const Family kQwen3Next = {.name = "qwen3_next",
                           .gguf_architecture = "qwen3next",
                           .hf_architecture = "Qwen3NextForCausalLM",
                           .from_hf = qwen3_next::from_hf,
                           .from_gguf = qwen3_next::from_gguf,
                           .hf_names = qwen3_next::kNames,
                           .hf_norms_minus_one = true,
                           .gguf_names = qwen3_next::kGgufNames,
                           .hf_expert_rows = true,
                           .has_mtp = true,
                           .hf_mtp_layer = "mtp.layers.0."};
// llama.cpp's converter puts the heads of values in another order for Qwen3.5.
const Family kQwen35 = {.name = "qwen3_5_text",
                        .gguf_architecture = "qwen35",
                        .hf_architecture = "Qwen3_5ForCausalLM",
                        .from_hf = qwen3_next::dense_from_hf,
                        .from_gguf = qwen3_next::dense_from_gguf,
                        .hf_names = qwen3_next::kNames,
                        .hf_norms_minus_one = true,
                        .gguf_names = qwen3_next::kGgufNames,
                        .gguf_tiled_heads = true,
                        .has_mtp = true,
                        .hf_mtp_layer = "mtp.layers.0."};
const Family kQwen35Moe = {.name = "qwen3_5_moe_text",
                           .gguf_architecture = "qwen35moe",
                           .hf_architecture = "Qwen3_5MoeForCausalLM",
                           .from_hf = qwen3_next::moe_from_hf,
                           .from_gguf = qwen3_next::moe_from_gguf,
                           .hf_names = qwen3_next::kNames,
                           .hf_norms_minus_one = true,
                           .gguf_names = qwen3_next::kGgufNames,
                           .hf_expert_rows = true,
                           .gguf_tiled_heads = true,
                           .has_mtp = true,
                           .hf_mtp_layer = "mtp.layers.0."};

}  // namespace moe::inline MOE_ABI::arch

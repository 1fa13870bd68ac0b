// Granite 4.0-H: most layers are Mamba-2, the others attention, mostly without RoPE; each has an FFN, with experts beside
// it in the larger models. Multipliers scale embedding, branches, scores and logits.
// Source: transformers, modeling_granitemoehybrid; Mamba-2: arXiv:2405.21060.
#include <fmt/format.h>

#include <cmath>

#include "arch/common_fields.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/hybrid_layers.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace granite_hybrid {

constexpr TensorName kNames[] = {
    {Role::recurrent_in, "model.layers.{l}.mamba.in_proj.weight"},
    {Role::conv, "model.layers.{l}.mamba.conv1d.weight"},
    {Role::conv_bias, "model.layers.{l}.mamba.conv1d.bias"},
    {Role::recurrent_dt_bias, "model.layers.{l}.mamba.dt_bias"},
    {Role::recurrent_a_log, "model.layers.{l}.mamba.A_log"},
    {Role::recurrent_skip, "model.layers.{l}.mamba.D"},
    {Role::recurrent_norm, "model.layers.{l}.mamba.norm.weight"},
    {Role::recurrent_out, "model.layers.{l}.mamba.out_proj.weight"},
    {Role::gate_up, "model.layers.{l}.shared_mlp.input_linear.weight"},
    {Role::down, "model.layers.{l}.shared_mlp.output_linear.weight"},
    {Role::shared_gate_up, "model.layers.{l}.shared_mlp.input_linear.weight"},
    {Role::shared_down, "model.layers.{l}.shared_mlp.output_linear.weight"},
    {Role::router, "model.layers.{l}.block_sparse_moe.router.layer.weight"},
    {Role::expert_gate_up, "model.layers.{l}.block_sparse_moe.input_linear.weight"},
    {Role::expert_down_rows, "model.layers.{l}.block_sparse_moe.output_linear.weight"},
};

void set_router(ModelConfig& c) {
  c.router.score = RouterScore::chosen_softmax;
  c.shared_expert_count = 1;
}

/// The FFN of every layer is the shared expert where there are others.
void read_ffn(const JsonConfig& json, ModelConfig& c) {
  const std::int64_t experts = json.integer("num_local_experts", 0, kMaxExperts);
  const std::int64_t shared = json.integer("shared_intermediate_size", 1, kMaxWidth);
  const std::int64_t routed = c.intermediate_size, top_k = json.integer("num_experts_per_tok", 0, kMaxExperts);
  c.intermediate_size = experts > 0 ? 0 : shared;
  if (experts == 0) return;
  set_router(c);
  c.router.expert_count = experts, c.router.top_k = top_k;
  c.moe_intermediate_size = routed, c.shared_expert_intermediate_size = shared;
}

void read_multipliers(const JsonConfig& json, ModelConfig& c) {
  c.embedding_scale = json.number_or("embedding_multiplier", 1.0);
  c.residual_scale = json.number_or("residual_multiplier", 1.0);
  c.softmax_scale = json.number_or("attention_multiplier", 1.0);
  c.logit_divisor = json.number_or("logits_scaling", 1.0);
}

/// "auto", the class's default, is what the other numbers leave.
std::int64_t read_head_width(const JsonConfig& json, std::int64_t inner, std::int64_t heads) {
  constexpr std::string_view kKey = "mamba_d_head";
  const auto found = json.value().find(kKey);
  if (found && !found->is_string()) return json.integer(kKey, 1, kMaxWidth);
  if (const std::string word = json.string_or(kKey, "auto"); word != "auto")
    json.refuse(ErrorCode::bad_config, fmt::format("config.json: {} is '{}', expected an integer or 'auto'",
                                                   json.path(kKey), word.substr(0, 60)));
  return inner / heads;
}

void read_mamba(const JsonConfig& json, ModelConfig& c) {
  RecurrentConfig r;
  r.conv_kernel = json.integer("mamba_d_conv", 1, kMaxTaps);
  r.key_heads = json.integer("mamba_n_groups", 1, kMaxWidth);
  r.heads = json.integer("mamba_n_heads", 1, kMaxWidth);
  r.key_dim = json.integer("mamba_d_state", 1, kMaxWidth);
  r.conv_bias = json.boolean("mamba_conv_bias");
  r.min_step = read_least_step(json, "time_step_limit");
  const std::int64_t inner = json.integer("mamba_expand", 1, kMaxWidth) * c.hidden_size;
  r.value_dim = read_head_width(json, inner, r.heads);
  if (r.values() != inner)
    json.refuse(ErrorCode::bad_config,
                fmt::format("config.json: {} {} times {} {} is {}, expected {} ({} times hidden_size)",
                            json.path("mamba_n_heads"), r.heads, json.path("mamba_d_head"), r.value_dim, r.values(),
                            inner, json.path("mamba_expand")));
  if (json.boolean("mamba_proj_bias"))
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: {} is true, expected false", json.path("mamba_proj_bias")));
  json.has("mamba_chunk_size");  // of transformers' own scan
  if (has_mixer(c, Mixer::mamba2)) c.recurrent = r;
}

void read_positions(const JsonConfig& json, ModelConfig& c) {
  constexpr std::string_view kKey = "position_embedding_type";
  const std::string kind = json.string_or(kKey, "nope");
  if (kind == "rope") return read_rope(json, RopeStyle::half_split, c);
  if (kind != "nope")
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is '{}', expected 'rope', 'nope' or null",
                                                    json.path(kKey), kind.substr(0, 60)));
  leave_out_rope(json, c);
}

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "granitemoehybrid");
  read_gqa(json, c);
  read_multipliers(json, c);
  if (json.has("layer_types"))
    read_layer_types(json, "linear_attention", Mixer::mamba2, c);
  else
    c.mixers.assign(static_cast<std::size_t>(c.layer_count), Mixer::mamba2);
  read_mamba(json, c);
  read_positions(json, c);
  read_ffn(json, c);
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  if (const std::string norm = json.string_or("normalization_function", "rmsnorm"); norm != "rmsnorm")
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is '{}', expected 'rmsnorm'",
                                                    json.path("normalization_function"), norm.substr(0, 60)));
  json.in_file("init_method");  // of the weights, before training
  if (!has_mixer(c, Mixer::mamba2)) c.mixers.clear();
  return c;
}

constexpr TensorName kGgufNames[] = {
    {Role::recurrent_in, "blk.{l}.ssm_in.weight"},     {Role::conv, "blk.{l}.ssm_conv1d.weight"},
    {Role::conv_bias, "blk.{l}.ssm_conv1d.bias"},      {Role::recurrent_dt_bias, "blk.{l}.ssm_dt.bias"},
    {Role::recurrent_a_log, "blk.{l}.ssm_a"},          {Role::recurrent_skip, "blk.{l}.ssm_d"},
    {Role::recurrent_norm, "blk.{l}.ssm_norm.weight"}, {Role::recurrent_out, "blk.{l}.ssm_out.weight"},
};

/// 0 is none, as in llama.cpp.
double scale_or(GgufConfig& meta, std::string_view key, double none) {
  const double found = meta.number_or(key, 0.0);
  return found == 0.0 ? none : found;
}

void read_ffn(GgufConfig& meta, ModelConfig& c) {
  const std::int64_t shared = meta.integer_or("expert_shared_feed_forward_length", 0, 0, kMaxWidth);
  if (meta.integer_or("expert_count", 0, 0, kMaxExperts) == 0) {
    meta.has("expert_used_count");
    if (shared > 0) c.intermediate_size = shared;
    return;
  }
  read_experts(meta, "feed_forward_length", c);
  set_router(c);
  c.intermediate_size = 0;
  c.shared_expert_count = shared > 0 ? 1 : 0;
  c.shared_expert_intermediate_size = shared;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "granitemoehybrid");
  read_layers_by_key_heads(meta, Mixer::mamba2, c);
  read_head_dim(meta, c);
  c.softmax_scale = scale_or(meta, "attention.scale", c.softmax_scale);
  c.embedding_scale = scale_or(meta, "embedding_scale", 1.0);
  c.residual_scale = scale_or(meta, "residual_scale", 1.0);
  c.logit_divisor = scale_or(meta, "logit_scale", 1.0);
  if (has_mixer(c, Mixer::mamba2)) read_mamba_states(meta, c);
  // llama.cpp's switch.
  if (meta.boolean_or("rope.scaling.finetuned", true)) {
    read_partial_rotary(meta, c);
    read_rope(meta, RopeStyle::interleaved, c);
  } else {
    leave_out_rope(meta, c);
  }
  read_ffn(meta, c);
  return c;
}

}  // namespace granite_hybrid

const Family kGraniteHybrid = {.name = "granitemoehybrid",
                               .gguf_architecture = "granitehybrid",
                               .hf_architecture = "GraniteMoeHybridForCausalLM",
                               .from_hf = granite_hybrid::from_hf,
                               .from_gguf = granite_hybrid::from_gguf,
                               .hf_names = granite_hybrid::kNames,
                               .gguf_names = granite_hybrid::kGgufNames,
                               .gguf_rope_pairs = true,
                               .hf_expert_rows = true};

}  // namespace moe::inline MOE_ABI::arch

// Gemma 3 (text): windows in all but every sixth layer, with a RoPE base of their own; norms before and behind each branch
// and of each q and k head, stored as w - 1; GELU; embedding times sqrt(D). Source: Gemma 3 report (arXiv:2503.19786),
// section 2; transformers, modeling_gemma3.
#include <fmt/format.h>

#include <cmath>

#include "arch/common.hpp"
#include "arch/family.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

constexpr TensorName kNames[] = {
    {Role::post_attention_norm, "model.layers.{l}.post_attention_layernorm.weight"},
    {Role::ffn_norm, "model.layers.{l}.pre_feedforward_layernorm.weight"},
    {Role::post_ffn_norm, "model.layers.{l}.post_feedforward_layernorm.weight"},
};

// Two bases; a scaling rule of the older form is the global layers' alone.
void read_ropes(const JsonConfig& json, ModelConfig& c) {
  RopeConfig sliding;
  if (json.has("rope_parameters")) {
    const JsonConfig parameters = json.object("rope_parameters");
    const JsonConfig full = parameters.object("full_attention"), local = parameters.object("sliding_attention");
    c.rope.theta = full.number_or("rope_theta", 1e6);
    sliding.theta = local.number_or("rope_theta", 1e4);
    read_scaling(json, full, c.rope, c);
    read_scaling(json, local, sliding, c);
  } else {
    c.rope.theta = json.number_or("rope_theta", 1e6);
    sliding.theta = json.number_or("rope_local_base_freq", 1e4);
    read_scaling(json, json.object("rope_scaling"), c.rope, c);
  }
  if (!c.sliding_layers.empty()) c.sliding_rope = sliding;
}

Result<ModelConfig> from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "gemma3_text");
  if (!json.has("tie_word_embeddings")) c.tie_word_embeddings = true;
  read_gqa(json, c);
  c.softmax_scale = 1.0 / std::sqrt(json.number_or("query_pre_attn_scalar", 256.0));
  const std::int64_t period = json.integer_or("sliding_window_pattern", 6, 1, kMaxLayers);
  read_windows(json, period, c);
  read_ropes(json, c);
  c.qk_norm = QkNorm::head;
  c.post_norms = true;
  c.qkv_bias = c.o_bias = json.boolean_or("attention_bias", false);
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  c.activation = Activation::gelu_tanh;
  if (const std::string found = json.string_or("hidden_activation", "gelu_pytorch_tanh"); found != "gelu_pytorch_tanh")
    json.refuse(
        ErrorCode::unsupported,
        fmt::format("config.json: hidden_activation is '{}', expected 'gelu_pytorch_tanh'", found.substr(0, 60)));
  for (const char* key : {"final_logit_softcapping", "attn_logit_softcapping"})
    if (json.has(key))
      json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is set, which libmoe does not support", key));
  refuse_true(json, {"use_bidirectional_attention"});
  if (auto ok = json.status(); !ok) return forward(ok);
  return c;
}

Result<ModelConfig> from_gguf(const checkpoint::Checkpoint& file) {
  GgufConfig meta(file, "gemma3");
  ModelConfig c = read_common(meta, "gemma3_text");
  read_gqa(meta, c);
  read_windows(meta, 6, c);
  read_rope(meta, RopeStyle::half_split, c);
  if (!meta.has("rope.freq_base")) c.rope.theta = 1e6;
  if (!c.sliding_layers.empty()) {
    c.sliding_rope.emplace();
    c.sliding_rope->theta = meta.number_or("rope.freq_base_swa", 1e4);
  }
  // query_pre_attn_scalar is not stored: it is head_dim but in the 27B, which its 62 layers tell.
  if (c.layer_count == 62) c.softmax_scale = 1.0 / std::sqrt(static_cast<double>(c.hidden_size / c.head_count));
  c.softmax_scale = meta.number_or("attention.scale", c.softmax_scale);
  c.qk_norm = QkNorm::head;
  c.post_norms = true;
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  c.activation = Activation::gelu_tanh;
  if (meta.number_or("final_logit_softcapping", 0.0) != 0.0)
    meta.refuse(ErrorCode::unsupported, "gemma3.final_logit_softcapping is not 0, which libmoe does not support");
  if (auto ok = meta.status(); !ok) return forward(ok);
  return c;
}

}  // namespace

const Family kGemma3 = {"gemma3_text", "gemma3", "Gemma3ForCausalLM", from_hf, from_gguf, kNames, true};

}  // namespace moe::inline MOE_ABI::arch

// Gemma 2 and Gemma 3 (text): norms before and after each branch, stored as w - 1; GELU; embedding times sqrt(D).
// Gemma 2 soft-caps scores and logits and has windows in every other layer. Gemma 3 has them in all but every sixth, with a
// separate RoPE base, and norms of each q and k head. Source: Gemma 2 and 3 reports (arXiv:2408.00118, arXiv:2503.19786),
// section 2 of each; transformers, modeling_gemma2 and modeling_gemma3.
#include <cmath>

#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace gemma {

constexpr TensorName kNames[] = {
    {Role::post_attention_norm, "model.layers.{l}.post_attention_layernorm.weight"},
    {Role::ffn_norm, "model.layers.{l}.pre_feedforward_layernorm.weight"},
    {Role::post_ffn_norm, "model.layers.{l}.post_feedforward_layernorm.weight"},
};

// Not read for Gemma 3, so a number is refused: its class has the key, but transformers does not compute with it.
constexpr std::string_view kScoreCap = "attn_logit_softcapping";

void set_common(ModelConfig& c) {
  c.post_norms = true;
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  c.activation = Activation::gelu_tanh;
}

ModelConfig read_gemma(const JsonConfig& json, std::string_view family) {
  ModelConfig c = read_common(json, family, Activation::gelu_tanh);
  read_gqa(json, c);
  c.softmax_scale = 1.0 / std::sqrt(json.number("query_pre_attn_scalar"));
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  c.final_logit_softcapping = json.number_or("final_logit_softcapping", 0.0);
  set_common(c);
  return c;
}

// query_pre_attn_scalar is not stored: it is head_dim except in the 27B, recognised by the number of its layers.
void read_scales(GgufConfig& meta, std::int64_t layers_of_27b, double absent_cap, ModelConfig& c) {
  if (c.layer_count == layers_of_27b)
    c.softmax_scale = 1.0 / std::sqrt(static_cast<double>(c.hidden_size / c.head_count));
  c.softmax_scale = meta.number_or("attention.scale", c.softmax_scale);
  c.final_logit_softcapping = meta.number_or("final_logit_softcapping", absent_cap);
  set_common(c);
}

ModelConfig gemma2_from_hf(const JsonConfig& json) {
  ModelConfig c = read_gemma(json, "gemma2");
  c.attn_logit_softcapping = json.number_or(kScoreCap, 0.0);
  read_windows(
      json, true, [](std::int64_t l) { return l % 2 == 0; }, c);
  read_rope(json, RopeStyle::half_split, c);
  return c;
}

// The first files have neither windows nor caps: llama.cpp takes those of the published models.
ModelConfig gemma2_from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "gemma2");
  read_gqa(meta, c);
  read_windows(meta, 2, c, 4096);
  read_rope(meta, RopeStyle::half_split, c);
  read_scales(meta, 46, 30.0, c);
  c.attn_logit_softcapping = meta.number_or(kScoreCap, 50.0);
  return c;
}

ModelConfig gemma3_from_hf(const JsonConfig& json) {
  ModelConfig c = read_gemma(json, "gemma3_text");
  c.qk_norm = QkNorm::head;
  const std::int64_t period = json.integer("sliding_window_pattern", 1, kMaxLayers);
  read_windows(
      json, true, [&](std::int64_t l) { return (l + 1) % period != 0; }, c);
  read_layered_rope(json, "rope_local_base_freq", c);
  return c;
}

ModelConfig gemma3_from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "gemma3_text");
  read_gqa(meta, c);
  c.qk_norm = QkNorm::head;
  read_windows(meta, 6, c);
  read_rope(meta, RopeStyle::half_split, c);
  if (!meta.has("rope.freq_base")) c.rope.theta = 1e6;
  if (!c.sliding_layers.empty()) {
    RopeConfig sliding;
    sliding.theta = meta.number_or("rope.freq_base_swa", 1e4);
    set_sliding_rope(sliding, c);
  }
  read_scales(meta, 62, 0.0, c);
  return c;
}

}  // namespace gemma

const Family kGemma2 = {.name = "gemma2",
                        .gguf_architecture = "gemma2",
                        .hf_architecture = "Gemma2ForCausalLM",
                        .from_hf = gemma::gemma2_from_hf,
                        .from_gguf = gemma::gemma2_from_gguf,
                        .hf_names = gemma::kNames,
                        .hf_norms_minus_one = true};
const Family kGemma3 = {.name = "gemma3_text",
                        .gguf_architecture = "gemma3",
                        .hf_architecture = "Gemma3ForCausalLM",
                        .from_hf = gemma::gemma3_from_hf,
                        .from_gguf = gemma::gemma3_from_gguf,
                        .hf_names = gemma::kNames,
                        .hf_norms_minus_one = true};

}  // namespace moe::inline MOE_ABI::arch

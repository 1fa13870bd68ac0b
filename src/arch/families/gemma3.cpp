// Gemma 3 (text): windows in all but every sixth layer, with a separate RoPE base; norms before and after each branch
// and of each q and k head, stored as w - 1; GELU; embedding times sqrt(D). Source: Gemma 3 report (arXiv:2503.19786),
// section 2; transformers, modeling_gemma3.
#include <cmath>

#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"
#include "arch/soft_caps.hpp"

namespace moe::inline MOE_ABI::arch {
namespace gemma3 {

constexpr TensorName kNames[] = {
    {Role::post_attention_norm, "model.layers.{l}.post_attention_layernorm.weight"},
    {Role::ffn_norm, "model.layers.{l}.pre_feedforward_layernorm.weight"},
    {Role::post_ffn_norm, "model.layers.{l}.post_feedforward_layernorm.weight"},
};

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "gemma3_text", Activation::gelu_tanh);
  read_gqa(json, c);
  c.softmax_scale = 1.0 / std::sqrt(json.number("query_pre_attn_scalar"));
  read_soft_caps(json, c);
  const std::int64_t period = json.integer("sliding_window_pattern", 1, kMaxLayers);
  read_windows(
      json, true, [&](std::int64_t l) { return (l + 1) % period != 0; }, c);
  read_layered_rope(json, "rope_local_base_freq", c);
  c.qk_norm = QkNorm::head;
  c.post_norms = true;
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "gemma3_text");
  read_gqa(meta, c);
  read_windows(meta, 6, c);
  read_rope(meta, RopeStyle::half_split, c);
  if (!meta.has("rope.freq_base")) c.rope.theta = 1e6;
  if (!c.sliding_layers.empty()) {
    RopeConfig sliding;
    sliding.theta = meta.number_or("rope.freq_base_swa", 1e4);
    set_sliding_rope(sliding, c);
  }
  // query_pre_attn_scalar is not stored: it is head_dim except in the 27B, recognised by its 62 layers.
  if (c.layer_count == 62) c.softmax_scale = 1.0 / std::sqrt(static_cast<double>(c.hidden_size / c.head_count));
  c.softmax_scale = meta.number_or("attention.scale", c.softmax_scale);
  read_soft_caps(meta, c);
  c.qk_norm = QkNorm::head;
  c.post_norms = true;
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  c.activation = Activation::gelu_tanh;
  return c;
}

}  // namespace gemma3

const Family kGemma3 = {"gemma3_text",  "gemma3", "Gemma3ForCausalLM", gemma3::from_hf, gemma3::from_gguf,
                        gemma3::kNames, true};

}  // namespace moe::inline MOE_ABI::arch

// Gemma 2: windows in every other layer; scores and logits soft-capped; norms before and after each branch, stored as
// w - 1; GELU; embedding times sqrt(D). Source: Gemma 2 report (arXiv:2408.00118), section 2; transformers,
// modeling_gemma2.
#include <cmath>

#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"
#include "arch/soft_caps.hpp"

namespace moe::inline MOE_ABI::arch {
namespace gemma2 {

constexpr TensorName kNames[] = {
    {Role::post_attention_norm, "model.layers.{l}.post_attention_layernorm.weight"},
    {Role::ffn_norm, "model.layers.{l}.pre_feedforward_layernorm.weight"},
    {Role::post_ffn_norm, "model.layers.{l}.post_feedforward_layernorm.weight"},
};

void set_common(ModelConfig& c) {
  c.post_norms = true;
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  c.activation = Activation::gelu_tanh;
}

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "gemma2", Activation::gelu_tanh);
  read_gqa(json, c);
  c.softmax_scale = 1.0 / std::sqrt(json.number("query_pre_attn_scalar"));
  read_soft_caps(json, c);
  read_windows(
      json, true, [](std::int64_t l) { return l % 2 == 0; }, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  set_common(c);
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "gemma2");
  read_gqa(meta, c);
  read_windows(meta, 2, c);
  read_rope(meta, RopeStyle::half_split, c);
  // query_pre_attn_scalar is not stored: it is head_dim but in the 27B, which its 46 layers tell.
  if (c.layer_count == 46) c.softmax_scale = 1.0 / std::sqrt(static_cast<double>(c.hidden_size / c.head_count));
  c.softmax_scale = meta.number_or("attention.scale", c.softmax_scale);
  read_soft_caps(meta, c);
  set_common(c);
  return c;
}

}  // namespace gemma2

const Family kGemma2 = {"gemma2",       "gemma2", "Gemma2ForCausalLM", gemma2::from_hf, gemma2::from_gguf,
                        gemma2::kNames, true};

}  // namespace moe::inline MOE_ABI::arch

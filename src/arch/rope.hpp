#pragma once
// RoPE: its bases and scaling rules, of all layers or of each kind of layer (json_rope.cpp, gguf_rope.cpp).

#include <cmath>
#include <string_view>

#include "arch/gguf_config.hpp"
#include "arch/json_config.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

/// The part of a head that RoPE rotates (partial_rotary_factor, in either place), before read_rope(). Families that do not
/// call it refuse any factor but 1.
void read_partial_rotary(const JsonConfig& json, ModelConfig& config);
void read_partial_rotary(GgufConfig& meta, ModelConfig& config);

/// Rules of single families: Hunyuan's fixed alpha under the name "dynamic", Phi-3's "longrope", and Gemma 4's
/// "proportional".
enum class OwnRope { none, alpha, longrope, proportional };
/// The bases and rules of RoPE, after read_windows(); multiplies softmax_scale where YaRN asks for it.
void read_rope(const JsonConfig& json, RopeStyle style, ModelConfig& config, OwnRope own = OwnRope::none);
void read_rope(GgufConfig& meta, RopeStyle style, ModelConfig& config);
/// A base of full and one of sliding layers, or a block per kind of layer; rope_scaling is about full layers alone. Without
/// a block, rope_theta and `sliding_theta` hold the bases.
void read_layered_rope(const JsonConfig& json, std::string_view sliding_theta, ModelConfig& config);
/// The same of a file whose full layers have factors of 1 and, for pairs that it does not rotate, of 1e30 (Gemma 4).
void read_proportional_rope(GgufConfig& meta, ModelConfig& config);
/// The RoPE of sliding layers, where there are any and it differs.
void set_sliding_rope(const RopeConfig& rope, ModelConfig& config);
/// rope_parameters, or rope_scaling as older files call it.
JsonConfig rope_block(const JsonConfig& json);

/// YaRN's m(s) = 0.1 s ln(factor) + 1, and 1 for factor <= 1 (arXiv:2309.00071, with DeepSeek's s).
inline double yarn_mscale(double factor, double s) { return factor <= 1.0 ? 1.0 : 0.1 * s * std::log(factor) + 1.0; }
/// YaRN's factor of cos and sin where a file does not give it: m(mscale) / m(mscale_all_dim) if both are set
/// (DeepSeek), else m(1) (Qwen).
inline double yarn_attention_factor(double factor, double mscale, double mscale_all_dim) {
  if (mscale != 0.0 && mscale_all_dim != 0.0) return yarn_mscale(factor, mscale) / yarn_mscale(factor, mscale_all_dim);
  return yarn_mscale(factor, 1.0);
}
/// DeepSeek's softmax scale of MLA grows with the context, by m(mscale_all_dim)^2; 0: it does not.
inline void grow_softmax_scale(double factor, double mscale_all_dim, ModelConfig& config) {
  if (mscale_all_dim == 0.0) return;
  const double m = yarn_mscale(factor, mscale_all_dim);
  config.softmax_scale *= m * m;
}

}  // namespace moe::inline MOE_ABI::arch

#pragma once
// What several families share when their configuration is read.

#include <functional>

#include "arch/family.hpp"
#include "arch/gguf_config.hpp"
#include "arch/json_config.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

// Limits far above any published model; they keep every product of two fields inside 64 bits.
inline constexpr std::int64_t kMaxWidth = 1 << 20;
inline constexpr std::int64_t kMaxLayers = 1024;
inline constexpr std::int64_t kMaxExperts = 1 << 14;
inline constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 24;
inline constexpr std::int64_t kMaxPosition = std::int64_t{1}
                                             << 31;  // validate() draws the narrower line and names the field

/// hidden_size, num_hidden_layers, vocab_size, heads, rms_norm_eps, max_position_embeddings, tie_word_embeddings; of
/// config.json the hidden activation too, which must be this one.
ModelConfig read_common(const JsonConfig& json, std::string_view family, Activation activation = Activation::silu);
ModelConfig read_common(GgufConfig& meta, std::string_view family);

/// num_key_value_heads and head_dim of grouped-query attention, with its softmax scale.
void read_gqa(const JsonConfig& json, ModelConfig& config);
void read_gqa(GgufConfig& meta, ModelConfig& config);
/// Biases of q, k and v: writers leave them out where the model has none, so that the file's tensors decide.
void read_qkv_bias(const GgufConfig& meta, ModelConfig& config);

/// The part of a head that RoPE turns (partial_rotary_factor, in either place), before read_rope(). Families that do not
/// call it refuse any factor but 1.
void read_partial_rotary(const JsonConfig& json, ModelConfig& config);
void read_partial_rotary(GgufConfig& meta, ModelConfig& config);

/// Rules of single families: Hunyuan's fixed alpha under the name "dynamic", and Phi-3's "longrope".
enum class OwnRope { none, alpha, longrope };
/// The bases and rules of RoPE, behind read_windows(); multiplies softmax_scale where YaRN asks for it.
void read_rope(const JsonConfig& json, RopeStyle style, ModelConfig& config, OwnRope own = OwnRope::none);
void read_rope(GgufConfig& meta, RopeStyle style, ModelConfig& config);
/// A base of full and one of sliding layers, or a block per kind of layer; rope_scaling is about full layers alone. Without
/// a block, rope_theta and `sliding_theta` hold the bases.
void read_layered_rope(const JsonConfig& json, std::string_view sliding_theta, ModelConfig& config);
/// The RoPE of sliding layers, where there are any and it differs.
void set_sliding_rope(const RopeConfig& rope, ModelConfig& config);
/// rope_parameters, or rope_scaling as older files call it.
JsonConfig rope_block(const JsonConfig& json);

/// sliding_window and the layers that have it: those of layer_types or, without it, those that `slides` names; none unless
/// `used`.
void read_windows(const JsonConfig& json, bool used, const std::function<bool(std::int64_t layer)>& slides,
                  ModelConfig& config);
/// sliding_window in every layer, where it is set.
void read_window_of_all(const JsonConfig& json, ModelConfig& config);
void read_window_of_all(GgufConfig& meta, ModelConfig& config);
void read_windows(GgufConfig& meta, std::int64_t period, ModelConfig& config);

/// attn_logit_softcapping and final_logit_softcapping, of Gemma.
void read_soft_caps(const JsonConfig& json, ModelConfig& config);
void read_soft_caps(GgufConfig& meta, ModelConfig& config);

/// quantization_config, where libmoe reads it.
Quantization read_quantization(const JsonConfig& json);

/// Layers without experts: first_k_dense_replace or mlp_layer_types, which must agree; `leading` ones where the file has
/// neither.
void read_dense_layers(const JsonConfig& json, std::int64_t leading, ModelConfig& config);

/// DeepSeek-V3's routing under its own names (n_routed_experts, n_group, ..), with first_k_dense_replace and shared
/// experts: dots1 and GLM-4.5 use it as it is.
void read_noaux_tc(const JsonConfig& json, ModelConfig& config);
void read_noaux_tc(GgufConfig& meta, ModelConfig& config);

/// expert_count, expert_used_count and expert_feed_forward_length, or `width_key` where a family has the width there.
void read_experts(GgufConfig& meta, std::string_view width_key, ModelConfig& config);
/// expert_group_count and expert_group_used_count.
void read_groups(GgufConfig& meta, ModelConfig& config);
/// Layers without a router but with a dense FFN are dense: most architectures have no key that says so.
void dense_without_router(const GgufConfig& meta, ModelConfig& config);

/// Makes a layer dense unless (layer + 1) is a multiple of `step`, and those outside [first, last] (Qwen, ERNIE).
void keep_moe_layers(std::int64_t step, std::int64_t first, std::int64_t last, ModelConfig& config);

/// YaRN's m(s) = 0.1 s ln(factor) + 1, and 1 for factor <= 1 (arXiv:2309.00071, with DeepSeek's s).
double yarn_mscale(double factor, double s);

}  // namespace moe::inline MOE_ABI::arch

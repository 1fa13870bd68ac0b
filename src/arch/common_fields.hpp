#pragma once
// What every family has: sizes, the norm's epsilon, the activation, whether the head is the embedding.

#include <string_view>

#include "arch/gguf_config.hpp"
#include "arch/json_config.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

/// hidden_size, num_hidden_layers, vocab_size, heads, rms_norm_eps, max_position_embeddings, tie_word_embeddings; of
/// config.json the hidden activation too, which must be this one.
ModelConfig read_common(const JsonConfig& json, std::string_view family, Activation activation = Activation::silu);
/// feed_forward_length may be a number per layer, which the family then reads itself.
enum class FfnWidths { uniform, per_layer };
ModelConfig read_common(GgufConfig& meta, std::string_view family, FfnWidths widths = FfnWidths::uniform);

}  // namespace moe::inline MOE_ABI::arch

#pragma once
// Grouped-query attention: its heads, and the biases of q, k and v.

#include "arch/gguf_config.hpp"
#include "arch/json_config.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

/// num_key_value_heads and head_dim, with the softmax scale.
void read_gqa(const JsonConfig& json, ModelConfig& config);
void read_gqa(GgufConfig& meta, ModelConfig& config);
/// Its last part, for families with another number of key heads per layer.
void read_head_dim(GgufConfig& meta, ModelConfig& config);
/// Biases of q, k and v: writers leave them out where the model has none, so that the file's tensors decide.
void read_qkv_bias(const GgufConfig& meta, ModelConfig& config);

}  // namespace moe::inline MOE_ABI::arch

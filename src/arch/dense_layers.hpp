#pragma once
// Layers of a model with experts whose FFN is dense.

#include <cstdint>

#include "arch/gguf_config.hpp"
#include "arch/json_config.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

/// Layers without experts: first_k_dense_replace or mlp_layer_types, which must agree; `leading` ones where the file has
/// neither.
void read_dense_layers(const JsonConfig& json, std::int64_t leading, ModelConfig& config);
/// Layers without a router but with a dense FFN are dense: most architectures have no key that says so.
void dense_without_router(const GgufConfig& meta, ModelConfig& config);
/// Makes a layer dense unless (layer + 1) is a multiple of `step`, and those outside [first, last] (Qwen, ERNIE).
void keep_moe_layers(std::int64_t step, std::int64_t first, std::int64_t last, ModelConfig& config);

}  // namespace moe::inline MOE_ABI::arch

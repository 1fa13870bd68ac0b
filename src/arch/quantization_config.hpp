#pragma once
// quantization_config of a config.json: how a Hugging Face checkpoint stores its weights.

#include "arch/family.hpp"
#include "arch/json_config.hpp"

namespace moe::inline MOE_ABI::arch {

/// quantization_config, where libmoe reads it.
Quantization read_quantization(const JsonConfig& json);

}  // namespace moe::inline MOE_ABI::arch

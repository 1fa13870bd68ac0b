#pragma once
// quantization_config of a config.json: how a Hugging Face checkpoint stores its weights.

#include "arch/family.hpp"
#include "arch/json_config.hpp"

namespace moe::inline MOE_ABI::arch {

/// quantization_config, where libmoe reads it.
Quantization read_quantization(const JsonConfig& json);

/// A tensor of this name belongs to a quantised weight: its scales, zero points, order of columns or shape.
bool belongs_to_weight(std::string_view name);
/// A tensor of 32-bit words by this name holds the codes of a weight.
bool holds_codes(std::string_view name);

}  // namespace moe::inline MOE_ABI::arch

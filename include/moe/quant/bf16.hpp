#pragma once
// bf16: the upper half of a float32, one value per block of 2 bytes.

#include "moe/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_bf16(const std::byte* block, float* out) noexcept {
  *out = bf16_to_float(static_cast<std::uint16_t>(load_u16(block)));
}

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// f32: little-endian IEEE single precision, one value per block of 4 bytes.

#include "moe/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_f32(const std::byte* block, float* out) noexcept {
  *out = std::bit_cast<float>(load_u32(block));
}

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// f32: little-endian IEEE single precision, one value per block of 4 bytes.

#include "moe/detail/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_f32(const std::byte* block, float* out) noexcept {
  *out = std::bit_cast<float>(load_u32(block));
}

/// Exact. As in all encoders, the result says whether the format can hold the value.
[[nodiscard]] inline bool encode_f32(const float* in, std::byte* block) noexcept {
  store_u32(block, std::bit_cast<std::uint32_t>(*in));
  return true;
}

}  // namespace moe::inline MOE_ABI::quant

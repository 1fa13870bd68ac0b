#pragma once
// bf16: the upper half of a float32, one value per block of 2 bytes.

#include "moe/detail/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_bf16(const std::byte* block, float* out) noexcept {
  *out = bf16_to_float(static_cast<std::uint16_t>(load_u16(block)));
}

/// To nearest even.
[[nodiscard]] inline bool encode_bf16(const float* in, std::byte* block) noexcept {
  const std::uint32_t b = float_to_bf16(*in);
  store_u16(block, b);
  return (b & 0x7fffu) < 0x7f80u;
}

}  // namespace moe::inline MOE_ABI::quant

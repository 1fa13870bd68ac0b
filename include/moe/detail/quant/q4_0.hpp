#pragma once
// q4_0: 32 values in 18 bytes, w = d * (c - 8).
//
//   0  d   f16
//   2  qs  [16]  code of value i in the low nibble of byte i, of value 16 + i in the high nibble

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_q4_0(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t codes = load_u8(block + 2 + i);
    out[i] = d * static_cast<float>(static_cast<int>(codes & 15u) - 8);
    out[16 + i] = d * static_cast<float>(static_cast<int>(codes >> 4) - 8);
  }
}

/// The value of largest magnitude becomes code 0 (-8), whatever its sign: the scale is negative where it is positive.
[[nodiscard]] inline bool encode_q4_0(const float* in, std::byte* block) noexcept {
  const float d = largest_magnitude(in, 32) / -8.0f;
  const Reciprocal r(d);
  for (int i = 0; i < 16; ++i) store_u8(block + 2 + i, r.code(in[i], 8.5f, 15) | r.code(in[16 + i], 8.5f, 15) << 4);
  return store_f16(block, d);
}

}  // namespace moe::inline MOE_ABI::quant

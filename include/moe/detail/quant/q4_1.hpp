#pragma once
// q4_1: 32 values in 20 bytes, w = d * c + m.
//
//   0  d   f16
//   2  m   f16
//   4  qs  [16]  code of value i in the low nibble of byte i, of value 16 + i in the high nibble
//
// d * c has at most 15 significant bits: it is exact, and a compiler that fuses the addition changes nothing.

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_q4_1(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block), m = load_f16(block + 2);
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t codes = load_u8(block + 4 + i);
    out[i] = d * static_cast<float>(codes & 15u) + m;
    out[16 + i] = d * static_cast<float>(codes >> 4) + m;
  }
}

/// The smallest value becomes code 0, the largest 15.
[[nodiscard]] inline bool encode_q4_1(const float* in, std::byte* block) noexcept {
  const Range range = value_range(in, 32);
  const float d = (range.max - range.min) / 15.0f;
  const Reciprocal r(d);
  for (int i = 0; i < 16; ++i)
    store_u8(block + 4 + i, r.code(in[i] - range.min, 0.5f, 15) | r.code(in[16 + i] - range.min, 0.5f, 15) << 4);
  const bool scale_fits = store_f16(block, d);
  return store_f16(block + 2, range.min) && scale_fits;
}

}  // namespace moe::inline MOE_ABI::quant

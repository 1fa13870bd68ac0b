#pragma once
// q5_1: 32 values in 24 bytes, w = d * c + m, c of 5 bits.
//
//   0  d   f16
//   2  m   f16
//   4  qh  u32   bit i is the fifth bit of value i
//   8  qs  [16]  low four bits: value i in the low nibble of byte i, value 16 + i in the high nibble
//
// d * c has at most 16 significant bits: it is exact, and a compiler that fuses the addition changes nothing.

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_q5_1(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block), m = load_f16(block + 2);
  const std::uint32_t high = load_u32(block + 4);
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t low = load_u8(block + 8 + i);
    out[i] = d * static_cast<float>((low & 15u) | (high >> i & 1u) << 4) + m;
    out[16 + i] = d * static_cast<float>(low >> 4 | (high >> (16 + i) & 1u) << 4) + m;
  }
}

/// The smallest value becomes code 0, the largest 31.
[[nodiscard]] inline bool encode_q5_1(const float* in, std::byte* block) noexcept {
  const Range range = value_range(in, 32);
  const float d = (range.max - range.min) / 31.0f;
  const Reciprocal r(d);
  std::uint32_t high = 0;
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t a = r.code(in[i] - range.min, 0.5f, 31), b = r.code(in[16 + i] - range.min, 0.5f, 31);
    store_u8(block + 8 + i, (a & 15u) | (b & 15u) << 4);
    high |= a >> 4 << i | b >> 4 << (16 + i);
  }
  store_u32(block + 4, high);
  const bool scale_fits = store_f16(block, d);
  return store_f16(block + 2, range.min) && scale_fits;
}

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// q5_0: 32 values in 22 bytes, w = d * (c - 16), c of 5 bits.
//
//   0  d   f16
//   2  qh  u32   bit i is the fifth bit of value i
//   6  qs  [16]  low four bits: value i in the low nibble of byte i, value 16 + i in the high nibble

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_q5_0(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  const std::uint32_t high = load_u32(block + 2);
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t low = load_u8(block + 6 + i);
    out[i] = d * static_cast<float>(static_cast<int>((low & 15u) | (high >> i & 1u) << 4) - 16);
    out[16 + i] = d * static_cast<float>(static_cast<int>(low >> 4 | (high >> (16 + i) & 1u) << 4) - 16);
  }
}

/// The value of largest magnitude becomes code 0 (-16), whatever its sign: the scale is negative where it is positive.
[[nodiscard]] inline bool encode_q5_0(const float* in, std::byte* block) noexcept {
  const float d = largest_magnitude(in, 32) / -16.0f;
  const Reciprocal r(d);
  std::uint32_t high = 0;
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t a = r.code(in[i], 16.5f, 31), b = r.code(in[16 + i], 16.5f, 31);
    store_u8(block + 6 + i, (a & 15u) | (b & 15u) << 4);
    high |= a >> 4 << i | b >> 4 << (16 + i);
  }
  store_u32(block + 2, high);
  return store_f16(block, d);
}

}  // namespace moe::inline MOE_ABI::quant

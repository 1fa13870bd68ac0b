#pragma once
// q2_k: 256 values in 84 bytes, w = (d * sc) * c - (dmin * mn); sc and mn of 4 bits serve 16 values, c of 2 bits.
//
//    0  scales [16]  sc in the low nibble, mn in the high nibble
//   16  qs     [64]  value 128 n + 32 j + i sits in byte 32 n + i, bits 2 j and 2 j + 1
//   80  d      f16
//   82  dmin   f16
//
// (d * sc) * c has at most 17 significant bits: exact, and a compiler that fuses the subtraction changes nothing.

#include "moe/detail/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_q2_k(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block + 80), dmin = load_f16(block + 82);
  for (int g = 0; g < 16; ++g) {  // 16 values each
    const std::uint32_t scales = load_u8(block + g);
    const float scale = d * static_cast<float>(scales & 15u);
    const float minimum = dmin * static_cast<float>(scales >> 4);
    const std::byte* qs = block + 16 + 32 * (g / 8) + 16 * (g % 2);
    const int shift = 2 * (g / 2 % 4);
    for (int i = 0; i < 16; ++i) out[16 * g + i] = scale * static_cast<float>(load_u8(qs + i) >> shift & 3u) - minimum;
  }
}

}  // namespace moe::inline MOE_ABI::quant

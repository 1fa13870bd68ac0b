#pragma once
// q5_k: 256 values in 176 bytes, w = (d * sc) * c - (dmin * mn); sc and mn of 6 bits serve 32 values, c of 5 bits.
//
//    0  d      f16
//    2  dmin   f16
//    4  scales [12]   as in q4_k
//   16  qh     [32]   bit b of byte i is the fifth bit of value 32 b + i
//   48  qs     [128]  low four bits of value 64 n + 32 h + i in byte 32 n + i, low nibble for h = 0
//
// (d * sc) * c has at most 22 significant bits: exact, and a compiler that fuses the subtraction changes nothing.

#include "moe/detail/quant/q4_k.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_q5_k(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block), dmin = load_f16(block + 2);
  for (int b = 0; b < 8; ++b) {
    const KScale s = k_scale(block + 4, b);
    const float scale = d * static_cast<float>(s.scale), minimum = dmin * static_cast<float>(s.minimum);
    const std::byte* qs = block + 48 + 32 * (b / 2);
    for (int i = 0; i < 32; ++i) {
      const std::uint32_t high = load_u8(block + 16 + i) >> b & 1u;
      out[32 * b + i] = scale * static_cast<float>((load_u8(qs + i) >> (4 * (b % 2)) & 15u) | high << 4) - minimum;
    }
  }
}

}  // namespace moe::inline MOE_ABI::quant

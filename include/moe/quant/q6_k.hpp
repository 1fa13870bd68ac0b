#pragma once
// q6_k: 256 values in 210 bytes, w = (d * sc) * (c - 32); sc (int8) serves 16 values, c of 6 bits.
//
//     0  ql     [128]  low four bits of value 128 n + 64 h + i in byte 64 n + i, low nibble for h = 0
//   128  qh     [64]   high two bits of value 128 n + 32 j + i in byte 32 n + i, bits 2 j and 2 j + 1
//   192  scales [16]   int8
//   208  d      f16

#include "moe/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_q6_k(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block + 208);
  for (int g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(load_i8(block + 192 + g));
    const int n = g / 8, within = 16 * (g % 8);  // half of the block, and the first value's place in it
    const std::byte* ql = block + 64 * n + within % 64;
    const std::byte* qh = block + 128 + 32 * n + within % 32;
    for (int i = 0; i < 16; ++i) {
      const std::uint32_t code =
          (load_u8(ql + i) >> (4 * (within / 64)) & 15u) | (load_u8(qh + i) >> (2 * (within / 32)) & 3u) << 4;
      out[16 * g + i] = scale * static_cast<float>(static_cast<int>(code) - 32);
    }
  }
}

}  // namespace moe::inline MOE_ABI::quant

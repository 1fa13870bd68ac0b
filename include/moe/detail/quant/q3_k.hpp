#pragma once
// q3_k: 256 values in 110 bytes, w = (d * sc) * (c - 4); sc of 6 bits (stored + 32) serves 16 values, c of 3 bits.
//
//     0  hmask  [32]  bit 4 n + j of byte i is the third bit of value 128 n + 32 j + i
//    32  qs     [64]  low two bits of value 128 n + 32 j + i in byte 32 n + i, bits 2 j and 2 j + 1
//    96  scales [12]  low four bits of scale g: byte g % 8, nibble g / 8; high two: byte 8 + g % 4, bits 2 (g / 4)
//   108  d      f16

#include "moe/detail/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

/// The scale of values 16 g .. 16 g + 15, in [-32, 31]; `scales` are the block's 12 bytes.
MOE_FORCE_INLINE int q3_k_scale(const std::byte* scales, int g) noexcept {
  const std::uint32_t low = load_u8(scales + g % 8) >> (4 * (g / 8)) & 15u;
  const std::uint32_t high = load_u8(scales + 8 + g % 4) >> (2 * (g / 4)) & 3u;
  return static_cast<int>(low | high << 4) - 32;
}

MOE_FORCE_INLINE void decode_q3_k(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block + 108);
  for (int g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(q3_k_scale(block + 96, g));
    const std::byte* hmask = block + 16 * (g % 2);
    const std::byte* qs = block + 32 + 32 * (g / 8) + 16 * (g % 2);
    const int plane = g / 2;
    for (int i = 0; i < 16; ++i) {
      const std::uint32_t code = (load_u8(qs + i) >> (2 * (plane % 4)) & 3u) | (load_u8(hmask + i) >> plane & 1u) << 2;
      out[16 * g + i] = scale * static_cast<float>(static_cast<int>(code) - 4);
    }
  }
}

}  // namespace moe::inline MOE_ABI::quant

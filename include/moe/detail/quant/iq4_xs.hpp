#pragma once
// iq4_xs: 256 values in 136 bytes, w = (d * (sc - 32)) * level[c]; sc of 6 bits serves 32 values, levels as in iq4_nl.
//
//   0  d        f16
//   2  scales_h u16    high two bits of scale b at bit 2 b
//   4  scales_l [4]    low four bits of scale b: nibble b, low nibble first
//   8  qs       [128]  sixteen bytes per 32 values: value i in the low nibble of byte i, value 16 + i in the high
//   nibble

#include "moe/detail/quant/iq4_nl.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_iq4_xs(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  const std::uint32_t high = load_u16(block + 2);
  for (int b = 0; b < 8; ++b) {
    const std::uint32_t stored = load_nibble(block + 4, b) | (high >> (2 * b) & 3u) << 4;
    const float scale = d * static_cast<float>(static_cast<int>(stored) - 32);
    for (int i = 0; i < 16; ++i) {
      const std::uint32_t codes = load_u8(block + 8 + 16 * b + i);
      out[32 * b + i] = scale * static_cast<float>(kIq4Levels[codes & 15u]);
      out[32 * b + 16 + i] = scale * static_cast<float>(kIq4Levels[codes >> 4]);
    }
  }
}

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// iq2_s: 256 values in 82 bytes, w = d * (sc + 1/2) / 4 * level * sign; sc of 4 bits serves 16 values.
//
//    0  d      f16
//    2  qs     [32]  per 8 values: low eight bits of an index into a codebook of 1024 vectors
//   34  signs  [32]  bit i of byte k: value 8 k + i is negative
//   66  qh     [8]   high two bits of index k at bits 2 (k % 4) of byte k / 4
//   74  scales [8]   nibble g, low nibble first, for values 16 g .. 16 g + 15

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codebooks.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_iq2_s(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  for (int k = 0; k < 32; ++k) {
    const float scale = d * (0.5f + static_cast<float>(load_nibble(block + 74, k / 2))) * 0.25f;
    const std::uint32_t index = load_u8(block + 2 + k) | (load_u8(block + 66 + k / 4) >> (2 * (k % 4)) & 3u) << 8;
    decode_iq2_vector(scale, kIq2SBook[index], load_u8(block + 34 + k), out + 8 * k);
  }
}

}  // namespace moe::inline MOE_ABI::quant

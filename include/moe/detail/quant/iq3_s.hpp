#pragma once
// iq3_s: 256 values in 110 bytes, w = d * (2 sc + 1) * level * sign; sc of 4 bits serves 32 values, levels 1, 3, .. 15.
//
//     0  d      f16
//     2  qs     [64]  per 4 values: low eight bits of an index into a codebook of 512 vectors of 4 values
//    66  qh     [8]   bit k % 8 of byte k / 8 is the ninth bit of index k
//    74  signs  [32]  bit i of byte k: value 8 k + i is negative
//   106  scales [4]   nibble b, low nibble first, for values 32 b .. 32 b + 31

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codebooks.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_iq3_s(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  for (int k = 0; k < 64; ++k) {
    const float scale = d * static_cast<float>(1 + 2 * static_cast<int>(load_nibble(block + 106, k / 8)));
    const std::uint32_t index = load_u8(block + 2 + k) | (load_u8(block + 66 + k / 8) >> (k % 8) & 1u) << 8;
    const std::uint32_t signs = load_u8(block + 74 + k / 2) >> (4 * (k % 2));
    for (int i = 0; i < 4; ++i) {
      const int level = 2 * static_cast<int>(kIq3SBook[index] >> (3 * i) & 7u) + 1;
      out[4 * k + i] = scale * static_cast<float>((signs >> i & 1u) != 0 ? -level : level);
    }
  }
}

}  // namespace moe::inline MOE_ABI::quant

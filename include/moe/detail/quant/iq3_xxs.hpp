#pragma once
// iq3_xxs: 256 values in 98 bytes, w = d * (sc + 1/2) / 2 * level * sign; sc of 4 bits serves 32 values.
//
//    0  d      f16
//    2  qs     [64]     per 4 values: index into a codebook of 256 vectors of 4 values
//   66  scales [8] u32  per 32 values: bits 7 k .. 7 k + 6 are the signs of values 8 k .. 8 k + 7 (even_signs),
//                       bits 28..31 are sc

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codebooks.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_iq3_xxs(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  for (int b = 0; b < 8; ++b) {
    const std::uint32_t word = load_u32(block + 66 + 4 * b);
    const float scale = d * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
    for (int i = 0; i < 32; ++i) {
      const std::uint32_t vector = kIq3XxsBook[load_u8(block + 2 + 8 * b + i / 4)];
      const std::uint32_t signs = even_signs(word >> (7 * (i / 8)) & 127u);
      const int level = kIq3XxsLevels[vector >> (3 * (i % 4)) & 7u];
      out[32 * b + i] = scale * static_cast<float>((signs >> (i % 8) & 1u) != 0 ? -level : level);
    }
  }
}

}  // namespace moe::inline MOE_ABI::quant

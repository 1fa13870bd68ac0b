#pragma once
// iq2_xxs: 256 values in 66 bytes, w = d * (sc + 1/2) / 4 * level * sign; sc of 4 bits serves 32 values.
//
//   0  d     f16
//   2  qs    [8] times 8 bytes, per 32 values:
//            4 indices (bytes) into a codebook of 256 vectors of 8 values, then a u32:
//            bits 7 k .. 7 k + 6 are the signs of vector k (even_signs), bits 28..31 are sc
//
// All products are exact: at most 22 significant bits.

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codebooks.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_iq2_xxs(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  for (int b = 0; b < 8; ++b) {
    const std::byte* qs = block + 2 + 8 * b;
    const std::uint32_t word = load_u32(qs + 4);
    const float scale = d * (0.5f + static_cast<float>(word >> 28)) * 0.25f;
    for (int k = 0; k < 4; ++k)
      decode_iq2_vector(scale, kIq2XxsBook[load_u8(qs + k)], even_signs(word >> (7 * k) & 127u), out + 32 * b + 8 * k);
  }
}

}  // namespace moe::inline MOE_ABI::quant

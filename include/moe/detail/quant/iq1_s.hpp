#pragma once
// iq1_s: 256 values in 50 bytes, w = d * (2 sc + 1) * (t +- 1/8), t in {-1, 0, 1}; sc of 3 bits serves 32 values.
//
//    0  d   f16
//    2  qs  [32]     per 8 values: low eight bits of an index into a codebook of 2048 vectors
//   34  qh  [8] u16  per 32 values: high three bits of index k at bit 3 k (k = 0..3), sc at bit 12,
//                    bit 15 set: the shift is -1/8

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codebooks.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_iq1_s(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  for (int b = 0; b < 8; ++b) {
    const std::uint32_t high = load_u16(block + 34 + 2 * b);
    const float scale = d * static_cast<float>(2 * (high >> 12 & 7u) + 1);
    const float shift = (high & 0x8000u) != 0 ? -0.125f : 0.125f;
    for (int k = 0; k < 4; ++k) {
      const std::uint32_t index = load_u8(block + 2 + 4 * b + k) | (high >> (3 * k) & 7u) << 8;
      decode_iq1_vector(scale, kIq1SBook[index], shift, out + 32 * b + 8 * k);
    }
  }
}

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// iq1_m: 256 values in 56 bytes, w = d * (2 sc + 1) * (t +- 1/8), t in {-1, 0, 1}; sc of 3 bits serves 16 values.
//
//    0  qs     [32]     per 8 values: low eight bits of an index into iq1_s's codebook
//   32  qh     [16]     nibble k, low nibble first: high three bits of index k; bit 3 set: the shift is -1/8
//   48  scales [4] u16  sc of group g at bit 3 (g % 4) of word g / 4; the top nibbles of the four words, first lowest,
//                       are d (f16)

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codebooks.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_iq1_m(const std::byte* block, float* out) noexcept {
  const std::byte* scales = block + 48;
  std::uint32_t d_bits = 0;
  for (int w = 0; w < 4; ++w) d_bits |= load_u16(scales + 2 * w) >> 12 << (4 * w);
  const float d = f16_to_float(static_cast<std::uint16_t>(d_bits));
  for (int k = 0; k < 32; ++k) {
    const int g = k / 2;
    const std::uint32_t sc = load_u16(scales + 2 * (g / 4)) >> (3 * (g % 4)) & 7u;
    const std::uint32_t high = load_nibble(block + 32, k);
    const std::uint32_t index = load_u8(block + k) | (high & 7u) << 8;
    decode_iq1_vector(d * static_cast<float>(2 * sc + 1), kIq1SBook[index], (high & 8u) != 0 ? -0.125f : 0.125f,
                      out + 8 * k);
  }
}

}  // namespace moe::inline MOE_ABI::quant

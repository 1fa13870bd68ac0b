#pragma once
// iq2_xs: 256 values in 74 bytes, w = d * (sc + 1/2) / 4 * level * sign; sc of 4 bits serves 16 values.
//
//    0  d      f16
//    2  qs     [32] u16, per 8 values: index into a codebook of 512 vectors, then 7 bits of signs (even_signs)
//   66  scales [8]  nibble g, low nibble first, for values 16 g .. 16 g + 15

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codebooks.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_iq2_xs(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  for (int k = 0; k < 32; ++k) {
    const float scale = d * (0.5f + static_cast<float>(load_nibble(block + 66, k / 2))) * 0.25f;
    const std::uint32_t code = load_u16(block + 2 + 2 * k);
    decode_iq2_vector(scale, kIq2XsBook[code & 511u], even_signs(code >> 9), out + 8 * k);
  }
}

}  // namespace moe::inline MOE_ABI::quant

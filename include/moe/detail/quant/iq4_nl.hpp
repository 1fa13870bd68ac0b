#pragma once
// iq4_nl: 32 values in 18 bytes, w = d * level[c]; the 16 levels are not evenly spaced.
//
//   0  d   f16
//   2  qs  [16]  code of value i in the low nibble of byte i, of value 16 + i in the high nibble

#include "moe/detail/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

inline constexpr std::int8_t kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};

MOE_FORCE_INLINE void decode_iq4_nl(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t codes = load_u8(block + 2 + i);
    out[i] = d * static_cast<float>(kIq4Levels[codes & 15u]);
    out[16 + i] = d * static_cast<float>(kIq4Levels[codes >> 4]);
  }
}

}  // namespace moe::inline MOE_ABI::quant

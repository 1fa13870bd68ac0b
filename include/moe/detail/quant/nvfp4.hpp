#pragma once
// nvfp4: 64 values in 36 bytes, w = s * e2m1; the scale s serves 16 values.
//
//   0  scales [4]   unsigned e4m3 (bias 7); 0x7f (NaN) reads as 0, the top bit is ignored
//   4  qs     [32]  eight bytes per 16 values: value i in the low nibble of byte i, value 8 + i in the high nibble

#include "moe/detail/quant/mxfp4.hpp"

namespace moe::inline MOE_ABI::quant {

/// Half the e4m3 value, because the table of e2m1 values is doubled.
MOE_FORCE_INLINE float nvfp4_scale(std::uint32_t code) noexcept {
  if (code == 0x7fu) return 0.0f;
  const std::uint32_t exponent = code >> 3 & 15u, mantissa = code & 7u;
  if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-10f;
  // (1 + mantissa / 8) * 2^(exponent - 7) / 2
  return std::bit_cast<float>((exponent + 119u) << 23 | mantissa << 20);
}

MOE_FORCE_INLINE void decode_nvfp4(const std::byte* block, float* out) noexcept {
  for (int g = 0; g < 4; ++g) {
    const float scale = nvfp4_scale(load_u8(block + g));
    for (int i = 0; i < 8; ++i) {
      const std::uint32_t codes = load_u8(block + 4 + 8 * g + i);
      out[16 * g + i] = scale * static_cast<float>(kTwiceE2m1[codes & 15u]);
      out[16 * g + 8 + i] = scale * static_cast<float>(kTwiceE2m1[codes >> 4]);
    }
  }
}

}  // namespace moe::inline MOE_ABI::quant

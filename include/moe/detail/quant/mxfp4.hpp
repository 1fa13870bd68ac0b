#pragma once
// mxfp4: 32 values in 17 bytes, w = 2^(e - 127) * e2m1 (OCP microscaling formats 1.0).
//
//   0  e   u8: the exponent; 255 means NaN in the standard and is refused when a model is loaded
//   1  qs  [16]  code of value i in the low nibble of byte i, of value 16 + i in the high nibble
//
// The table holds twice the e2m1 value, to stay in integers; the scale here is therefore 2^(e - 128).

#include "moe/detail/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

inline constexpr std::int8_t kTwiceE2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// 2^(e - 128), exact: subnormal for e < 2.
MOE_FORCE_INLINE float mxfp4_scale(std::uint32_t e) noexcept {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);
}

MOE_FORCE_INLINE void decode_mxfp4(const std::byte* block, float* out) noexcept {
  const float scale = mxfp4_scale(load_u8(block));
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t codes = load_u8(block + 1 + i);
    out[i] = scale * static_cast<float>(kTwiceE2m1[codes & 15u]);
    out[16 + i] = scale * static_cast<float>(kTwiceE2m1[codes >> 4]);
  }
}

}  // namespace moe::inline MOE_ABI::quant

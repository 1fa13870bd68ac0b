#pragma once
// FP8 e4m3 ("fn": no infinities): sign, 4 bits of exponent (bias 7), 3 of mantissa; 0x7f and 0xff are NaN.
// DeepSeek-V3's files hold it with a float32 scale per 128 x 128 weights.

#include <bit>

#include "moe/detail/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE float decode_e4m3(std::byte code) noexcept {
  const std::uint32_t bits = std::to_integer<std::uint32_t>(code), sign = (bits & 0x80u) << 24,
                      magnitude = bits & 0x7Fu;
  if (magnitude == 0x7Fu) return std::bit_cast<float>(sign | 0x7FC00000u);
  if (magnitude < 8u) {  // subnormal: a multiple of 2^-9
    const float value = static_cast<float>(magnitude) * 0x1p-9f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | sign);
  }
  return std::bit_cast<float>(sign | ((magnitude << 20) + ((127u - 7u) << 23)));
}

/// Magnitude of a code in steps of 2^-9, an integer below 2^18; 0x7f counts as the number after 448.
constexpr std::uint32_t e4m3_steps(std::uint32_t magnitude) noexcept {
  return magnitude < 8u ? magnitude : (8u + magnitude % 8u) << (magnitude / 8u - 1u);
}

}  // namespace moe::inline MOE_ABI::quant

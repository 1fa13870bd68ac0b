#pragma once
// IEEE half precision (f16) and bfloat16 (bf16) to float32 and back. Widening is exact; narrowing rounds to nearest
// even.

#include <bit>
#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Exact, subnormals and infinities included; a NaN stays a NaN.
MOE_FORCE_INLINE float f16_to_float(std::uint16_t h) noexcept {
  const std::uint32_t sign = (h & 0x8000u) << 16;
  const std::uint32_t magnitude = h & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Subnormals count units of 2^-24; one multiplication by a power of two is exact.
  if (magnitude < 0x400u) {
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
}

/// Rounds to nearest even; 65520 and above become infinity.
MOE_FORCE_INLINE std::uint16_t float_to_f16(float x) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t h = 0;
  if (magnitude > 0x7f800000u) {
    h = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x47800000u) {  // 65536 and above
    h = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // normal from 2^-14; a carry into the exponent is correct
    h = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13;
  } else if (magnitude >= 0x33000000u) {  // 2^-25 and above: units of 2^-24
    const std::uint32_t shift = 126 - (magnitude >> 23);
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t rest = mantissa & ((1u << shift) - 1), half = 1u << (shift - 1);
    h = mantissa >> shift;
    h += rest > half || (rest == half && (h & 1u) != 0) ? 1u : 0u;
  }
  return static_cast<std::uint16_t>(sign | h);
}

/// Exact.
MOE_FORCE_INLINE float bf16_to_float(std::uint16_t b) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(b) << 16);
}

/// Rounds to nearest even; a NaN becomes a quiet NaN.
MOE_FORCE_INLINE std::uint16_t float_to_bf16(float x) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace moe::inline MOE_ABI

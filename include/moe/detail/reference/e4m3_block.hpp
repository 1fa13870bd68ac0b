#pragma once
// FP8 against int8 activations: 32 codes of a row become integers of 8 bits times a power of two of the block. Codes of
// at least an eighth of the block's largest power of two keep their value, and the others are off by 1/128 of it at
// most. Definition: docs/NUMERICS.md.

#include <bit>
#include <cstddef>
#include <cstdint>

#include "moe/detail/quant/fp8.hpp"

namespace moe::inline MOE_ABI::reference {

/// Bits of the largest magnitude, in steps of 2^-9, of 32 codes; 18 where all are zero.
inline int e4m3_width(const std::byte* codes) noexcept {
  std::uint32_t largest = 0;
  for (int i = 0; i < 32; ++i) {
    const std::uint32_t magnitude = std::to_integer<std::uint32_t>(codes[i]) & 0x7fu;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest == 0 ? 18 : static_cast<int>(std::bit_width(quant::e4m3_steps(largest)));
}

/// 2^(width - 16): what 1 of the integers stands for.
inline float e4m3_unit(int width) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(111 + width) << 23);
}

/// steps * 2^(7 - width), to the nearest integer, ties to even: 120 at most.
constexpr std::int32_t e4m3_integer(std::uint32_t steps, int width) noexcept {
  if (width <= 7) return static_cast<std::int32_t>(steps << (7 - width));
  const int shift = width - 7;
  const std::uint32_t whole = steps >> shift, rest = steps & ((1u << shift) - 1u), half = 1u << (shift - 1);
  return static_cast<std::int32_t>(whole + (rest > half || (rest == half && whole % 2u == 1u) ? 1u : 0u));
}

/// The integers + 128, as the codes of int8 are.
inline void e4m3_block(const std::byte* codes, int width, std::uint8_t* out) noexcept {
  for (int i = 0; i < 32; ++i) {
    const std::uint32_t code = std::to_integer<std::uint32_t>(codes[i]);
    const std::int32_t integer = e4m3_integer(quant::e4m3_steps(code & 0x7fu), width);
    out[i] = static_cast<std::uint8_t>(128 + (code >= 0x80u ? -integer : integer));
  }
}

}  // namespace moe::inline MOE_ABI::reference

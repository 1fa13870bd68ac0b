#pragma once
// Little-endian fields of a weight block. Blocks are not aligned, so fields are read byte by byte.

#include <cstddef>
#include <cstdint>

#include "moe/detail/quant/half.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE std::uint32_t load_u8(const std::byte* p) noexcept { return std::to_integer<std::uint32_t>(*p); }
MOE_FORCE_INLINE std::int32_t load_i8(const std::byte* p) noexcept {
  return static_cast<std::int8_t>(std::to_integer<std::uint8_t>(*p));
}
MOE_FORCE_INLINE std::uint32_t load_u16(const std::byte* p) noexcept { return load_u8(p) | load_u8(p + 1) << 8; }
MOE_FORCE_INLINE std::uint32_t load_u32(const std::byte* p) noexcept { return load_u16(p) | load_u16(p + 2) << 16; }
MOE_FORCE_INLINE float load_f16(const std::byte* p) noexcept {
  return f16_to_float(static_cast<std::uint16_t>(load_u16(p)));
}
/// The i-th 4-bit number, low nibble first.
MOE_FORCE_INLINE std::uint32_t load_nibble(const std::byte* p, int i) noexcept {
  return load_u8(p + i / 2) >> (4 * (i % 2)) & 15u;
}

MOE_FORCE_INLINE void store_u8(std::byte* p, std::uint32_t value) noexcept {
  *p = static_cast<std::byte>(value & 255u);
}
MOE_FORCE_INLINE void store_u16(std::byte* p, std::uint32_t value) noexcept {
  store_u8(p, value);
  store_u8(p + 1, value >> 8);
}
MOE_FORCE_INLINE void store_u32(std::byte* p, std::uint32_t value) noexcept {
  store_u16(p, value);
  store_u16(p + 2, value >> 16);
}
/// False where the value is beyond f16: infinity was stored.
[[nodiscard]] MOE_FORCE_INLINE bool store_f16(std::byte* p, float value) noexcept {
  const std::uint32_t h = float_to_f16(value);
  store_u16(p, h);
  return (h & 0x7fffu) < 0x7c00u;
}

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// Rows of the scaled formats: codes whose scales (and zero points) serve groups of columns. Definition of their values.
//
//   codes   e4m3, int8: [k] bytes; int4: [k/2] bytes, value 2 i in the low nibble of byte i, 2 i + 1 in the high one
//   scales  [groups.count] of groups.scale
//   zeros   [groups.count] bytes, where groups.zeros
//
// e4m3: w = code * scale. int4, int8: w = scale * (code - zero), codes unsigned (int8: the signed number + 128, and so
// is its zero point), zero 8 or 128 where the row has none. One rounding each; none of int4 and int8 if the scale is
// f16 or bf16.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "moe/detail/quant/fp8.hpp"
#include "moe/formats.hpp"

namespace moe::inline MOE_ABI::reference {

/// Which columns share a scale.
struct Groups {
  std::int64_t columns = 0;                 ///< of a group; the first and the last may have fewer
  std::int64_t phase = 0;                   ///< column c is in group (c + phase) / columns
  std::int64_t count = 0;                   ///< of a row
  const std::int32_t* of_column = nullptr;  ///< [k], where the groups are not consecutive
  Format scale = Format::f32;               ///< f32, f16 or bf16; e4m3: f32
  bool zeros = false;

  constexpr std::int64_t of(std::int64_t column) const noexcept {
    return of_column != nullptr ? of_column[column] : (column + phase) / columns;
  }
  /// Has each block of 32 columns one group? Only then int8 activations are possible.
  constexpr bool whole_blocks() const noexcept {
    return of_column == nullptr && phase % 32 == 0 && (columns % 32 == 0 || count == 1);
  }
};

/// Of a row as laid out above.
constexpr std::int64_t scaled_row_bytes(Format format, std::int64_t k, const Groups& groups) noexcept {
  return row_bytes(format, k) + groups.count * (format_info(groups.scale).block_bytes + (groups.zeros ? 1 : 0));
}

/// Zero points of int4 are at most this, one more than a code. Larger ones, which a byte could store, are refused.
inline constexpr std::int32_t kMaxInt4Zero = 16;
/// A power of two: scales of e4m3 are below it, so that every product with a code is finite.
inline constexpr float kMaxE4m3Scale = 0x1p119f;

inline float scale_value(Format format, const std::byte* p) noexcept {
  if (format == Format::f16) return quant::load_f16(p);
  if (format == Format::bf16) return bf16_to_float(static_cast<std::uint16_t>(quant::load_u16(p)));
  float value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// A row taken apart.
struct ScaledRow {
  Format format;
  const std::byte *codes, *scales, *zeros;
  const Groups& groups;

  ScaledRow(Format f, const Groups& g, const std::byte* row, std::int64_t k) noexcept
      : format(f),
        codes(row),
        scales(row + row_bytes(f, k)),
        zeros(scales + g.count * format_info(g.scale).block_bytes),
        groups(g) {}

  std::uint32_t code(std::int64_t column) const noexcept {
    if (format == Format::int4) return quant::load_nibble(codes + column / 2, static_cast<int>(column % 2));
    return quant::load_u8(codes + column);
  }
  float scale(std::int64_t group) const noexcept {
    return scale_value(groups.scale, scales + group * format_info(groups.scale).block_bytes);
  }
  std::int32_t zero(std::int64_t group) const noexcept {
    if (groups.zeros) return static_cast<std::int32_t>(quant::load_u8(zeros + group));
    return format == Format::int4 ? 8 : 128;
  }
};

inline float scaled_weight(Format format, std::uint32_t code, float scale, std::int32_t zero) noexcept {
  if (format == Format::e4m3) return quant::decode_e4m3(static_cast<std::byte>(code)) * scale;
  return scale * static_cast<float>(static_cast<std::int32_t>(code) - zero);
}

inline void decode_scaled_row(Format format, const Groups& groups, const std::byte* row, std::int64_t k,
                              float* out) noexcept {
  const ScaledRow r(format, groups, row, k);
  for (std::int64_t c = 0; c < k; ++c) {
    const std::int64_t g = groups.of(c);
    out[c] = scaled_weight(format, r.code(c), r.scale(g), r.zero(g));
  }
}

}  // namespace moe::inline MOE_ABI::reference

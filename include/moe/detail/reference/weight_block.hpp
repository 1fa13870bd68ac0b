#pragma once
// 32 weights of an integer format, taken apart: codes and scales as stored, before any arithmetic.

#include <cstddef>
#include <cstdint>

#include "moe/detail/quant/mxfp4.hpp"
#include "moe/detail/quant/q3_k.hpp"
#include "moe/detail/quant/q4_k.hpp"
#include "moe/formats.hpp"

namespace moe::inline MOE_ABI::reference {

/// How the codes become weights; h = i / 16 is the half of the block.
enum class BlockKind : std::uint8_t {
  plain,       ///< d * w
  minimum,     ///< d * w + m        (K-quants: d * sc[0] and -(dmin * mn[0]) in their places)
  halves,      ///< d * sc[h] * w
  halves_min,  ///< d * sc[h] * w - dmin * mn[h]
  groups,      ///< d * (code - zero), both of a group of columns (scaled_row.hpp)
  e4m3,        ///< scale * 2^n * w, n of the block, w as e4m3_block.hpp rounds it
  none,        ///< not an integer format: the float path
};

/// What the kernels of the integer formats need to know of a format.
struct BlockForm {
  BlockKind kind = BlockKind::none;
  int offset = 0;    ///< w = code - offset (mxfp4: w = table[code], and 12 makes it unsigned; groups: without zeros)
  int max_code = 0;  ///< of the unsigned codes
  int super_blocks = 1;  ///< blocks of 32 that share d (and dmin)

  /// Has each half of a block a scale of its own?
  constexpr bool halves() const { return kind == BlockKind::halves || kind == BlockKind::halves_min; }
};

MOE_FORCE_INLINE constexpr BlockForm block_form(Format format) noexcept {
  switch (format) {
    case Format::q4_0: return {BlockKind::plain, 8, 15, 1};
    case Format::q5_0: return {BlockKind::plain, 16, 31, 1};
    case Format::q8_0: return {BlockKind::plain, 128, 255, 1};
    case Format::mxfp4: return {BlockKind::plain, 12, 24, 1};
    case Format::q4_1: return {BlockKind::minimum, 0, 15, 1};
    case Format::q5_1: return {BlockKind::minimum, 0, 31, 1};
    case Format::q4_k: return {BlockKind::minimum, 0, 15, 8};
    case Format::q5_k: return {BlockKind::minimum, 0, 31, 8};
    case Format::q6_k: return {BlockKind::halves, 32, 63, 8};
    case Format::q3_k: return {BlockKind::halves, 4, 7, 8};
    case Format::q2_k: return {BlockKind::halves_min, 0, 3, 8};
    case Format::int4: return {BlockKind::groups, 8, 15, 1};
    case Format::int8: return {BlockKind::groups, 128, 255, 1};
    case Format::e4m3: return {BlockKind::e4m3, 128, 248, 1};
    default: return {};
  }
}
constexpr bool is_integer_format(Format format) noexcept { return block_form(format).kind != BlockKind::none; }

struct WeightBlock {
  std::uint8_t codes[32];  ///< as stored; q8_0: the signed byte + 128; mxfp4: the e2m1 code
  std::uint16_t d, m;      ///< f16 bits of d and of m or dmin; mxfp4: d is the exponent byte
  std::int8_t sc[2], mn[2];
};

/// Takes the bytes of one stored block (or of part `s` of a super-block) apart into `w`.
struct BlockReader {
  const std::byte* p;
  int s;
  WeightBlock& w;

  MOE_FORCE_INLINE std::uint16_t u16(int at) const noexcept {
    return static_cast<std::uint16_t>(quant::load_u16(p + at));
  }
  MOE_FORCE_INLINE unsigned u8(int at) const noexcept {
    return static_cast<unsigned>(std::to_integer<unsigned char>(p[at]));
  }
  /// Value i in the low nibble of byte i, value 16 + i in the high nibble.
  MOE_FORCE_INLINE void split_nibbles(int at) const noexcept {
    for (int i = 0; i < 16; ++i) {
      w.codes[i] = static_cast<std::uint8_t>(u8(at + i) & 15u);
      w.codes[16 + i] = static_cast<std::uint8_t>(u8(at + i) >> 4);
    }
  }
  /// `mask` bits of 32 consecutive bytes, from bit `shift`, moved up to bit `to`.
  MOE_FORCE_INLINE void or_bits(int at, int shift, unsigned mask, int to) const noexcept {
    for (int i = 0; i < 32; ++i)
      w.codes[i] = static_cast<std::uint8_t>(w.codes[i] | (u8(at + i) >> shift & mask) << to);
  }
  MOE_FORCE_INLINE void fifth_bits(int at) const noexcept {
    const std::uint32_t high = quant::load_u32(p + at);
    for (int i = 0; i < 32; ++i) w.codes[i] = static_cast<std::uint8_t>(w.codes[i] | (high >> i & 1u) << 4);
  }
  MOE_FORCE_INLINE void k_scales() const noexcept {
    const quant::KScale k = quant::k_scale(p + 4, s);
    w.sc[0] = w.sc[1] = static_cast<std::int8_t>(k.scale);
    w.mn[0] = w.mn[1] = static_cast<std::int8_t>(k.minimum);
  }

  /// Formats whose blocks are 32 values.
  MOE_FORCE_INLINE void read_single(Format format) const noexcept {
    switch (format) {
      case Format::q4_0: w.d = u16(0), split_nibbles(2); break;
      case Format::q4_1: w.d = u16(0), w.m = u16(2), split_nibbles(4); break;
      case Format::q5_0: w.d = u16(0), split_nibbles(6), fifth_bits(2); break;
      case Format::q5_1: w.d = u16(0), w.m = u16(2), split_nibbles(8), fifth_bits(4); break;
      case Format::mxfp4: w.d = static_cast<std::uint16_t>(u8(0)), split_nibbles(1); break;
      case Format::q8_0:
        w.d = u16(0);
        for (int i = 0; i < 32; ++i) w.codes[i] = static_cast<std::uint8_t>(u8(2 + i) ^ 0x80u);
        break;
      default: break;
    }
  }
  /// The K formats: part `s` of 256 values.
  MOE_FORCE_INLINE void read_part(Format format) const noexcept {
    switch (format) {
      case Format::q4_k:
        w.d = u16(0), w.m = u16(2), k_scales();
        or_bits(16 + 32 * (s / 2), 4 * (s % 2), 15u, 0);
        break;
      case Format::q5_k:
        w.d = u16(0), w.m = u16(2), k_scales();
        or_bits(48 + 32 * (s / 2), 4 * (s % 2), 15u, 0);
        or_bits(16, s, 1u, 4);
        break;
      case Format::q6_k:
        w.d = u16(208);
        for (int h = 0; h < 2; ++h) w.sc[h] = static_cast<std::int8_t>(quant::load_i8(p + 192 + 2 * s + h));
        or_bits(64 * (s / 4) + 32 * (s % 2), 4 * (s % 4 / 2), 15u, 0);
        or_bits(128 + 32 * (s / 4), 2 * (s % 4), 3u, 4);
        break;
      case Format::q3_k:
        w.d = u16(108);
        for (int h = 0; h < 2; ++h) w.sc[h] = static_cast<std::int8_t>(quant::q3_k_scale(p + 96, 2 * s + h));
        or_bits(32 + 32 * (s / 4), 2 * (s % 4), 3u, 0);
        or_bits(0, s, 1u, 2);
        break;
      case Format::q2_k:
        w.d = u16(80), w.m = u16(82);
        for (int h = 0; h < 2; ++h) {
          w.sc[h] = static_cast<std::int8_t>(u8(2 * s + h) & 15u);
          w.mn[h] = static_cast<std::int8_t>(u8(2 * s + h) >> 4);
        }
        or_bits(16 + 32 * (s / 4), 2 * (s % 4), 3u, 0);
        break;
      default: break;
    }
  }
};

/// Block `b` (values 32 b .. 32 b + 31) of a row as files store it.
MOE_FORCE_INLINE WeightBlock read_weight_block(Format format, const std::byte* row, std::int64_t b) noexcept {
  WeightBlock w{};
  const std::int64_t parts = block_form(format).super_blocks;
  const BlockReader reader = {row + b / parts * format_info(format).block_bytes, static_cast<int>(b % parts), w};
  if (parts == 1)
    reader.read_single(format);
  else
    reader.read_part(format);
  return w;
}

/// The small signed integer of value i.
inline int integer_weight(Format format, const WeightBlock& w, int i) noexcept {
  return format == Format::mxfp4 ? quant::kTwiceE2m1[w.codes[i]] : w.codes[i] - block_form(format).offset;
}

/// Factor and (for BlockKind::minimum) summand of the whole block, in the order of roundings of docs/NUMERICS.md.
struct BlockScale {
  float d, m;
};
inline BlockScale block_scale(Format format, const WeightBlock& w) noexcept {
  if (format == Format::mxfp4) return {quant::mxfp4_scale(w.d), 0.0f};
  const float d = f16_to_float(w.d), m = f16_to_float(w.m);
  if (format == Format::q4_k || format == Format::q5_k)
    return {d * static_cast<float>(w.sc[0]), -(m * static_cast<float>(w.mn[0]))};
  return {d, m};
}

/// The block as float32, with the bits that decoding the file's block gives.
inline void widen_block(Format format, const WeightBlock& w, float* out) noexcept {
  const BlockKind kind = block_form(format).kind;
  const BlockScale scale = block_scale(format, w);
  for (int i = 0; i < 32; ++i) {
    const float value = static_cast<float>(integer_weight(format, w, i));
    const bool halves = kind == BlockKind::halves || kind == BlockKind::halves_min;
    const float factor = halves ? scale.d * static_cast<float>(w.sc[i / 16]) : scale.d;
    out[i] = factor * value;
    if (kind == BlockKind::minimum) out[i] += scale.m;
    if (kind == BlockKind::halves_min) out[i] -= scale.m * static_cast<float>(w.mn[i / 16]);
  }
}

}  // namespace moe::inline MOE_ABI::reference

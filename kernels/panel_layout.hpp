#pragma once
// Byte layout of packed panels, which packing.cpp writes and the kernels read.
//
// Integer formats: super-blocks of `super_blocks` blocks of 32 values, each
//   d       [16] f16 (mxfp4: bf16, which holds every power of two it needs)
//   m       [16] f16, where the format has a minimum
//   scales  [super_blocks][2][16] bytes, K-quants only: sc and mn, or the scales of both halves (q2_k: both nibbles)
//   codes   [super_blocks][code_bytes]
// Codes of a block are vectors of 64 bytes = 16 rows x 4 values; group g holds values 4 g .. 4 g + 3:
//   bytes    8 vectors, group g in vector g (q8_0: the signed byte + 128)
//   nibbles  4 vectors, group g in the low nibbles of vector g, group g + 4 in the high nibbles
//   pairs    2 vectors, bits 2 (g % 4) and up of vector g / 4
//   single   1 vector, bit g
// f32, f16, bf16: [k][16] values. Every other format: 16 rows as the file stores them.
//
// Scaled formats: all codes (the vectors above; e4m3: 8 of them, after a header), then
//   scales  [groups][16] of their type
//   zeros   [groups][16] bytes, where the matrix has them
// The header of an e4m3 block: [16] bytes, 111 + the width of the row's largest magnitude (reference/e4m3_block.hpp).
// Its codes are multiplied by 2^(18 - width), which loses nothing, so that one table turns them into integers. A last
// block has no more vectors than its columns need.

#include "kernels/table.hpp"
#include "moe/detail/reference/e4m3_block.hpp"
#include "moe/detail/reference/weight_block.hpp"

namespace moe::inline MOE_ABI::kernels {

using reference::BlockForm;
using reference::BlockKind;

struct PanelLayout {
  bool byte_codes = false, nibbles = false, pairs = false, single = false;
  int pair_shift = 0, single_shift = 0;  // where these bits belong in the code
  bool has_min = false, has_scales = false;
  int super_blocks = 1;
  int m_at = 0, scales_at = 0, codes_at = 0;  // bytes within a super-block
  int pairs_at = 0, single_at = 0;            // bytes within the codes of a block
  int code_bytes = 0, super_bytes = 0;

  constexpr std::int64_t codes_of(std::int64_t block) const {
    return block / super_blocks * super_bytes + codes_at + block % super_blocks * code_bytes;
  }
  constexpr std::int64_t header_of(std::int64_t block) const { return block / super_blocks * super_bytes; }
  constexpr std::int64_t scales_of(std::int64_t block) const {
    return header_of(block) + scales_at + block % super_blocks * 2 * kPanelRows;
  }
};

// Force-inlined, as all that units with instruction-set flags share (tests/kernels/isa_symbols.cmake).
MOE_FORCE_INLINE constexpr PanelLayout panel_layout(Format format) noexcept {
  const BlockForm form = reference::block_form(format);
  PanelLayout l;
  l.byte_codes = format == Format::q8_0 || format == Format::int8 || format == Format::e4m3;
  l.nibbles = !l.byte_codes && format != Format::q2_k && format != Format::q3_k;
  l.pairs = format == Format::q6_k || format == Format::q2_k || format == Format::q3_k;
  l.single = format == Format::q5_0 || format == Format::q5_1 || format == Format::q5_k || format == Format::q3_k;
  l.pair_shift = format == Format::q6_k ? 4 : 0;
  l.single_shift = format == Format::q3_k ? 2 : 4;
  l.has_min = form.kind == BlockKind::minimum || form.kind == BlockKind::halves_min;
  l.has_scales = form.super_blocks > 1;
  l.super_blocks = form.super_blocks;
  l.m_at = (form.kind == BlockKind::groups ? 0 : form.kind == BlockKind::e4m3 ? 1 : 2) * kPanelRows;
  l.scales_at = l.m_at + (l.has_min ? 2 * kPanelRows : 0);
  l.codes_at = l.scales_at + (l.has_scales ? form.super_blocks * 2 * kPanelRows : 0);
  l.pairs_at = l.byte_codes ? 512 : l.nibbles ? 256 : 0;
  l.single_at = l.pairs_at + (l.pairs ? 128 : 0);
  l.code_bytes = l.single_at + (l.single ? 64 : 0);
  l.super_bytes = l.codes_at + form.super_blocks * l.code_bytes;
  return l;
}

/// Where the parts of a panel of a scaled format begin, in bytes.
struct ScaledLayout {
  int scale_bytes;
  std::int64_t scales_at, zeros_at, bytes;

  MOE_FORCE_INLINE ScaledLayout(Format format, std::int64_t k, const Groups& groups)
      : scale_bytes(groups.scale == Format::f32 ? 4 : 2),
        scales_at(codes_bytes(format, k)),
        zeros_at(scales_at + groups.count * kPanelRows * scale_bytes),
        bytes(zeros_at + (groups.zeros ? groups.count * kPanelRows : 0)) {}

  /// A last block of e4m3 may have fewer vectors.
  static MOE_FORCE_INLINE std::int64_t codes_bytes(Format format, std::int64_t k) {
    const PanelLayout l = panel_layout(format);
    const std::int64_t rest = k % kBlock;
    return k / kBlock * l.super_bytes + (rest != 0 ? l.codes_at + (rest + 3) / 4 * 64 : 0);
  }

  MOE_FORCE_INLINE std::int64_t scales_of(std::int64_t group) const {
    return scales_at + group * kPanelRows * scale_bytes;
  }
  MOE_FORCE_INLINE std::int64_t zeros_of(std::int64_t group) const { return zeros_at + group * kPanelRows; }
};
/// Headers of e4m3 blocks are this + width: the exponent of the unit as float32 has it.
inline constexpr int kE4m3Header = 111;

/// Integers of the codes of e4m3 panels.
struct E4m3Integers {
  std::uint8_t of[64];        // of 0x40 and up; smaller codes are 0
  std::uint8_t and_128[128];  // of all, + 128
};
constexpr E4m3Integers e4m3_integers() noexcept {
  E4m3Integers t{};
  for (unsigned i = 0; i < 128; ++i) {
    const auto integer = static_cast<std::uint8_t>(reference::e4m3_integer(quant::e4m3_steps(i), 18));
    t.and_128[i] = static_cast<std::uint8_t>(128 + integer);
    if (i >= 64) t.of[i - 64] = integer;
  }
  return t;
}
// Not inline: units with instruction-set flags must not share symbols (tests/kernels/isa_symbols.cmake).
constexpr E4m3Integers kE4m3Integers = e4m3_integers();

/// Raw rows of a panel (formats without their own layout) to [count][16] floats, values k_begin and on; k_begin is
/// a multiple of 256. Compiled without instruction-set flags, as the decoders are plain inline functions.
void widen_raw(Format format, const std::byte* panel, std::int64_t k, std::int64_t k_begin, std::int64_t count,
               float* out) noexcept;

/// Block `b` of row `row` (0..15) of a packed panel; of a scaled format, the codes only, and e4m3's header in d.
reference::WeightBlock read_panel_block(Format format, const std::byte* panel, int row, std::int64_t b) noexcept;

/// Scale and zero point of a column of a row of a matrix of a scaled format.
struct PanelScale {
  float scale;
  std::int32_t zero;
};
PanelScale read_panel_scale(Format format, const Panels& w, std::int64_t row, std::int64_t column) noexcept;

}  // namespace moe::inline MOE_ABI::kernels

#pragma once
// Reads packed panels (panel_layout.hpp) of Q4_K and the other integer formats into registers. packing.cpp writes them.

#include "kernels/panel_layout.hpp"
#include "kernels/simd_dot.hpp"
#include "moe/formats.hpp"

namespace moe::inline MOE_ABI::kernels {

/// mxfp4: 2 * e2m1 + 12.
constexpr std::uint8_t kE2m1Plus12[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

/// Unsigned codes of group `g` (a constant after unrolling); `codes` points at the lanes' first byte.
template <class Arch, Format kFormat>
MOE_FORCE_INLINE typename Vector<Arch>::I load_codes(const std::byte* codes, int g) {
  using V = Vector<Arch>;
  constexpr PanelLayout l = panel_layout(kFormat);
  typename V::I c;
  if constexpr (kFormat == Format::e4m3) {
    c = V::load(codes + 64 * g);
    if constexpr (requires { V::lookup128(kE4m3Integers.and_128, c); })
      return V::lookup128(kE4m3Integers.and_128, c);
    else
      return V::sub8_128(V::with_sign8(V::lookup64(kE4m3Integers.of, c), c));
  } else if constexpr (l.byte_codes) {
    return V::load(codes + 64 * g);
  } else if constexpr (l.nibbles) {
    c = V::load(codes + 64 * (g % 4));
    if (g >= 4) c = V::shift_right16(c, 4);
    c = V::and_(c, V::set8(15));
    if constexpr (kFormat == Format::mxfp4) c = V::lookup(V::broadcast16(kE2m1Plus12), c);
  } else {
    c = V::zero();
  }
  if constexpr (l.pairs) {
    const typename V::I bits = V::load(codes + l.pairs_at + 64 * (g / 4));
    const int shift = l.pair_shift - 2 * (g % 4);
    c = V::or_masked(c, shift >= 0 ? V::shift_left16(bits, shift) : V::shift_right16(bits, -shift),
                     V::set8(static_cast<std::int8_t>(3 << l.pair_shift)));
  }
  if constexpr (l.single) {
    const typename V::I bits = V::load(codes + l.single_at);
    const int shift = l.single_shift - g;
    c = V::or_masked(c, shift >= 0 ? V::shift_left16(bits, shift) : V::shift_right16(bits, -shift),
                     V::set8(static_cast<std::int8_t>(1 << l.single_shift)));
  }
  return c;
}

/// Factors of a block's sums, for the lanes from `lane` on.
template <class Arch, Format kFormat>
struct PanelScales {
  using V = Vector<Arch>;
  typename V::F d, m;                // minimum: factors of the whole block; halves: as stored
  typename V::F sc0, sc1, mn0, mn1;  // halves: small integers

  MOE_FORCE_INLINE void load(const std::byte* panel, std::int64_t block, int lane) {
    constexpr PanelLayout l = panel_layout(kFormat);
    constexpr BlockForm form = reference::block_form(kFormat);
    const std::byte* header = panel + l.header_of(block);
    if constexpr (kFormat == Format::mxfp4) {
      d = V::load_bf16(header + 2 * lane);
    } else {
      d = V::load_f16(header + 2 * lane);
    }
    if constexpr (l.has_min) m = V::load_f16(header + l.m_at + 2 * lane);
    if constexpr (l.has_scales) {
      const std::byte* first = panel + l.scales_of(block) + lane;
      const std::byte* second = first + kPanelRows;
      if constexpr (form.kind == BlockKind::minimum) {
        d = V::mul(d, V::to_float(V::load_u8(first)));
        m = V::negate(V::mul(m, V::to_float(V::load_u8(second))));
      } else if constexpr (form.kind == BlockKind::halves) {
        sc0 = V::to_float(V::load_i8(first));
        sc1 = V::to_float(V::load_i8(second));
      } else {
        const typename V::I low = V::set32(15), h0 = V::load_u8(first), h1 = V::load_u8(second);
        sc0 = V::to_float(V::and_(h0, low));
        sc1 = V::to_float(V::and_(h1, low));
        mn0 = V::to_float(V::shift_right32(h0, 4));
        mn1 = V::to_float(V::shift_right32(h1, 4));
      }
    }
  }

  /// Number of vectors of the format.
  static constexpr int kCount = reference::block_form(kFormat).kind == BlockKind::plain     ? 1
                                : reference::block_form(kFormat).kind == BlockKind::minimum ? 2
                                : reference::block_form(kFormat).kind == BlockKind::halves  ? 3
                                                                                            : 6;
  /// Stores the result of load(), so that restore() needs no decoding.
  MOE_FORCE_INLINE void save(float (&out)[kCount][kPanelRows]) const {
    V::storef(out[0], d);
    if constexpr (kCount == 3) V::storef(out[1], sc0), V::storef(out[2], sc1);
    if constexpr (kCount == 2 || kCount == 6) V::storef(out[1], m);
    if constexpr (kCount == 6)
      V::storef(out[2], sc0), V::storef(out[3], sc1), V::storef(out[4], mn0), V::storef(out[5], mn1);
  }
  MOE_FORCE_INLINE void restore(const float (&in)[kCount][kPanelRows]) {
    d = V::loadf(in[0]);
    if constexpr (kCount == 3) sc0 = V::loadf(in[1]), sc1 = V::loadf(in[2]);
    if constexpr (kCount == 2 || kCount == 6) m = V::loadf(in[1]);
    if constexpr (kCount == 6)
      sc0 = V::loadf(in[2]), sc1 = V::loadf(in[3]), mn0 = V::loadf(in[4]), mn1 = V::loadf(in[5]);
  }
};

/// The same as magnitudes and bytes of their sign, for codes of 8 bits.
template <class Arch>
struct SignedCodes {
  typename Vector<Arch>::I magnitude, sign;
};
template <class Arch, Format kFormat>
MOE_FORCE_INLINE SignedCodes<Arch> load_signed_codes(const std::byte* codes, int g) {
  using V = Vector<Arch>;
  const typename V::I c = V::load(codes + 64 * g);
  if constexpr (kFormat == Format::e4m3) return {V::lookup64(kE4m3Integers.of, c), c};
  const typename V::I w = V::sub8_128(c);
  return {V::abs8(w), w};
}

/// What 1 of the integers of an e4m3 block stands for, for the lanes from `lane` on.
template <class Arch>
MOE_FORCE_INLINE typename Vector<Arch>::F load_e4m3_unit(const std::byte* panel, std::int64_t block, int lane) {
  using V = Vector<Arch>;
  const std::byte* header = panel + panel_layout(Format::e4m3).header_of(block);
  return V::as_float(V::shift_left32(V::load_u8(header + lane), 23));
}

/// Blocks of an e4m3 panel from the one of column k_begin on, `count` values, to [count][16] floats: code * scale. A
/// last block writes its padding, too.
template <class Arch>
void widen_e4m3(const std::byte* panel, const Panels& w, std::int64_t k_begin, std::int64_t count,
                float* out) noexcept {
  using V = Vector<Arch>;
  constexpr PanelLayout l = panel_layout(Format::e4m3);
  const ScaledLayout scaled(Format::e4m3, w.k, w.groups);
  for (int lane = 0; lane < kPanelRows; lane += V::kLanes)
    for (std::int64_t i = 0; i < count; i += 4) {
      const std::int64_t block = (k_begin + i) / kBlock;
      typename V::I codes = V::load(panel + l.codes_of(block) + 64 * ((k_begin + i) % kBlock / 4) + 4 * lane);
      // With the bits of a code at the end of its exponent and the start of its mantissa, a float32 is 2^-120 of it.
      const typename V::F factor = V::mul(load_e4m3_unit<Arch>(panel, block, lane), V::setf(0x1p118f));
      for (int j = 0; j < 4; ++j) {
        const std::int64_t column = k_begin + i + j < w.k ? k_begin + i + j : w.k - 1;
        const auto* scales = reinterpret_cast<const float*>(panel + scaled.scales_of(w.groups.of(column)));
        const typename V::I bits = V::or_(V::shift_left32(V::and_(codes, V::set32(0x7f)), 20),
                                          V::shift_left32(V::and_(codes, V::set32(0x80)), 24));
        V::storef(out + (i + j) * kPanelRows + lane,
                  V::mul(V::mul(V::as_float(bits), factor), V::loadf(scales + lane)));
        codes = V::shift_right32(codes, 8);
      }
    }
}

/// Scales (and zero points of int4 and int8) of a group, for the lanes from `lane` on.
template <class Arch, Format kFormat>
struct GroupScales {
  using V = Vector<Arch>;
  typename V::F d, negative_zero;

  /// `subtracted` was subtracted from the codes already.
  MOE_FORCE_INLINE void load(const std::byte* panel, const Groups& groups, const ScaledLayout& l, std::int64_t group,
                             int lane, int subtracted) {
    const std::byte* at = panel + l.scales_of(group) + l.scale_bytes * lane;
    if constexpr (kFormat == Format::e4m3) {
      d = V::loadf(reinterpret_cast<const float*>(at)), negative_zero = V::setf(0.0f);
      return;
    }
    d = groups.scale == Format::f16    ? V::load_f16(at)
        : groups.scale == Format::bf16 ? V::load_bf16(at)
                                       : V::loadf(reinterpret_cast<const float*>(at));
    constexpr int kZero = reference::block_form(kFormat).offset;
    const typename V::I zero = groups.zeros ? V::load_u8(panel + l.zeros_of(group) + lane) : V::set32(kZero);
    negative_zero = V::to_float(V::sub32(V::set32(subtracted), zero));
  }
};

/// The zero point of a group of int4, in all four bytes of each lane from `lane` on.
template <class Arch>
MOE_FORCE_INLINE typename Vector<Arch>::I zero_bytes(const std::byte* panel, const Groups& groups,
                                                     const ScaledLayout& l, std::int64_t group, int lane) {
  using V = Vector<Arch>;
  constexpr std::uint8_t kFirstOfFour[16] = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
  if (!groups.zeros) return V::set8(reference::block_form(Format::int4).offset);
  return V::lookup(V::load_u8(panel + l.zeros_of(group) + lane), V::broadcast16(kFirstOfFour));
}
/// 16 less that: added to codes, it makes them code - zero + 16, of 0 to 31.
template <class Arch>
MOE_FORCE_INLINE typename Vector<Arch>::I zero_shift(const std::byte* panel, const Groups& groups,
                                                     const ScaledLayout& l, std::int64_t group, int lane) {
  using V = Vector<Arch>;
  return V::sub8(V::set8(reference::kMaxInt4Zero), zero_bytes<Arch>(panel, groups, l, group, lane));
}

/// Of scaled formats: the scale of a block and what remains of its zero point.
template <class Arch, Format kFormat>
requires(is_scaled_format(kFormat)) struct PanelScales<Arch, kFormat> {
  using V = Vector<Arch>;
  static constexpr int kCount = 2;
  typename V::F d, negative_zero;

  /// From those of its group, which are loaded.
  MOE_FORCE_INLINE void set(const GroupScales<Arch, kFormat>& of_group, const std::byte* panel, std::int64_t block,
                            int lane) {
    d = of_group.d, negative_zero = of_group.negative_zero;
    if constexpr (kFormat == Format::e4m3) d = V::mul(d, load_e4m3_unit<Arch>(panel, block, lane));
  }
  /// `subtracted` was subtracted from the codes already.
  MOE_FORCE_INLINE void load(const std::byte* panel, const Panels& w, std::int64_t block, int lane, int subtracted) {
    GroupScales<Arch, kFormat> of_group;
    of_group.load(panel, w.groups, ScaledLayout(kFormat, w.k, w.groups), w.groups.of(kBlock * block), lane, subtracted);
    set(of_group, panel, block, lane);
  }
  MOE_FORCE_INLINE void save(float (&out)[kCount][kPanelRows]) const {
    V::storef(out[0], d), V::storef(out[1], negative_zero);
  }
  MOE_FORCE_INLINE void restore(const float (&in)[kCount][kPanelRows]) {
    d = V::loadf(in[0]), negative_zero = V::loadf(in[1]);
  }
};

/// The same as widen_panel for int4 and int8: d * (code - zero).
template <class Arch, Format kFormat>
void widen_groups(const std::byte* panel, const Panels& w, std::int64_t block_begin, std::int64_t block_end,
                  float* out) noexcept {
  using V = Vector<Arch>;
  constexpr PanelLayout l = panel_layout(kFormat);
  const ScaledLayout scaled(kFormat, w.k, w.groups);
  for (int lane = 0; lane < kPanelRows; lane += V::kLanes) {
    GroupScales<Arch, kFormat> scales{};
    std::int64_t loaded = -1;
    for (std::int64_t b = block_begin; b < block_end; ++b)
      for (int g = 0; g < 8; ++g) {
        typename V::I codes = load_codes<Arch, kFormat>(panel + l.codes_of(b) + 4 * lane, g);
        for (int j = 0; j < 4; ++j) {
          const std::int64_t column = kBlock * b + 4 * g + j;
          const std::int64_t group =
              w.groups.of_column != nullptr ? w.groups.of_column[column] : (column + w.groups.phase) / w.groups.columns;
          if (group != loaded) scales.load(panel, w.groups, scaled, group, lane, 0);
          loaded = group;
          const typename V::F code = V::to_float(V::and_(codes, V::set32(255)));
          V::storef(out + (column - kBlock * block_begin) * kPanelRows + lane,
                    V::mul(scales.d, V::add(code, scales.negative_zero)));
          codes = V::shift_right32(codes, 8);
        }
      }
  }
}

/// Blocks [block_begin, block_end) of a panel to [32 * blocks][16] floats, with the bits of reference::widen_block.
template <class Arch, Format kFormat>
void widen_panel(const std::byte* panel, std::int64_t block_begin, std::int64_t block_end, float* out) noexcept {
  using V = Vector<Arch>;
  constexpr PanelLayout l = panel_layout(kFormat);
  constexpr BlockForm form = reference::block_form(kFormat);
  constexpr bool kHalves = form.halves();
  for (std::int64_t b = block_begin; b < block_end; ++b) {
    for (int lane = 0; lane < kPanelRows; lane += V::kLanes) {
      PanelScales<Arch, kFormat> scales;
      scales.load(panel, b, lane);
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g) {
        typename V::F factor = scales.d, summand{};
        if constexpr (kHalves) factor = V::mul(scales.d, g < 4 ? scales.sc0 : scales.sc1);
        if constexpr (form.kind == BlockKind::minimum) summand = scales.m;
        if constexpr (form.kind == BlockKind::halves_min)
          summand = V::negate(V::mul(scales.m, g < 4 ? scales.mn0 : scales.mn1));
        typename V::I codes = load_codes<Arch, kFormat>(panel + l.codes_of(b) + 4 * lane, g);
        for (int j = 0; j < 4; ++j) {
          const typename V::I code = V::sub32(V::and_(codes, V::set32(255)), V::set32(form.offset));
          typename V::F w = V::mul(factor, V::to_float(code));
          if constexpr (l.has_min) w = V::add(w, summand);
          V::storef(out + (32 * (b - block_begin) + 4 * g + j) * kPanelRows + lane, w);
          codes = V::shift_right32(codes, 8);
        }
      }
    }
  }
}

}  // namespace moe::inline MOE_ABI::kernels

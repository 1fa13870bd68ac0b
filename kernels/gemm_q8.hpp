#pragma once
// y[t, r] = sum_k W[r, k] * x[t, k] for integer weights and q8g32 activations.
//
// Rows are lanes: one dot product multiplies kLanes rows by 4 values of one token, broadcast. Sums are exact in int32
// within a block of 32; one float chain per output runs over the blocks (docs/NUMERICS.md), so every Arch, tile and split
// gives the same bits. Work is cut into tiles of tokens; of each tile a stretch of k is copied into an ActivationTile:
// all its addresses are then constants from one pointer, and rows a power of two apart do not fight for cache sets.

#include <cstring>

#include "kernels/panel_codes.hpp"
#include "kernels/table.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Token-blocks (token, 32 values) of one stretch: 12 KiB of codes, half of the smallest L1 in use.
inline constexpr int kTileBlocks = 384;
/// Bytes of one stretch of a group of panels: half of a 1 MiB L2 while all token tiles pass over it.
inline constexpr std::int64_t kGroupBytes = 512 * 1024;

/// Block b of token t of the tile is entry b * kTokens + t.
struct ActivationTile {
  alignas(64) std::int8_t codes[kTileBlocks][32];
  alignas(64) float scale[kTileBlocks];
  alignas(64) float scaled_sum[kTileBlocks];      // scale * sum of the codes, for minimums
  alignas(64) std::int32_t half[2][kTileBlocks];  // -offset * sum of the codes (per half for `halves`); q2_k: the sums
};

template <class Arch, Format kFormat, int kTokens>
void fill_tile(const GemmQ8& g, std::int64_t token_begin, int token_count, std::int64_t block_begin,
               std::int64_t block_count, ActivationTile& tile) noexcept {
  constexpr BlockForm form = reference::block_form(kFormat);
  const std::int64_t row_blocks = g.x.k / kBlock;
  for (int t = 0; t < kTokens; ++t) {
    // A tile with fewer tokens repeats its last one; the repetition is computed and dropped.
    std::int64_t token = token_begin + (t < token_count ? t : token_count - 1);
    if (g.token_index != nullptr) token = g.token_index[token];
    const std::int8_t* codes = g.x.codes + token * g.x.k + block_begin * kBlock;
    const float* scales = g.x.scales + token * row_blocks + block_begin;
    const std::int16_t* sums = g.x.sums + 2 * (token * row_blocks + block_begin);
    for (std::int64_t b = 0; b < block_count; ++b) {
      const std::int64_t at = b * kTokens + t;
      std::memcpy(tile.codes[at], codes + 32 * b, 32);
      tile.scale[at] = scales[b];
      const std::int32_t s0 = sums[2 * b], s1 = sums[2 * b + 1];
      if constexpr (form.kind == BlockKind::plain) {
        tile.half[0][at] = -form.offset * (s0 + s1);
      } else if constexpr (form.kind == BlockKind::minimum) {
        tile.scaled_sum[at] = scales[b] * static_cast<float>(s0 + s1);
      } else if constexpr (form.kind == BlockKind::halves) {
        tile.half[0][at] = -form.offset * s0;
        tile.half[1][at] = -form.offset * s1;
      } else {
        tile.half[0][at] = s0;
        tile.half[1][at] = s1;
      }
    }
  }
}

/// The dot products of groups [g_begin, g_begin + kCount) of one block with every token.
template <class Arch, Format kFormat, int kTokens, int kCount>
MOE_FORCE_INLINE void dot_groups(const std::byte* codes, int g_begin, const std::int8_t (*activations)[32],
                                 typename Vector<Arch>::I (&out)[kTokens]) {
  using V = Vector<Arch>;
  constexpr BlockForm form = reference::block_form(kFormat);
  if constexpr (kFormat == Format::q8_0 && !Arch::kVnni) {
    // Codes of 8 bits do not fit the int16 pairs: |w| <= 128 with the sign moved to the activation, 128 * 127 * 2 <
    // 32767. `out` starts without the offset here.
#pragma GCC unroll 8
    for (int g = 0; g < kCount; ++g) {
      const typename V::I w = V::sub8_128(load_codes<Arch, kFormat>(codes, g_begin + g));
      const typename V::I magnitude = V::abs8(w);
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        const typename V::I a = V::with_sign8(V::broadcast4(activations[t] + 4 * (g_begin + g)), w);
        out[t] = V::add32(out[t], V::add_pairs16(V::mul_pairs8(magnitude, a)));
      }
    }
  } else {
    BlockDot<Arch, form.max_code> dot[kTokens];
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) dot[t].start(out[t]);
#pragma GCC unroll 8
    for (int g = 0; g < kCount; ++g) {
      const typename V::I c = load_codes<Arch, kFormat>(codes, g_begin + g);
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) dot[t].add(c, V::broadcast4(activations[t] + 4 * (g_begin + g)), g, kCount);
    }
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) out[t] = dot[t].sum;
  }
}

/// Continues the chains y[kTokens][16] over blocks [block_begin, block_begin + block_count) of one panel.
template <class Arch, Format kFormat, int kTokens>
void tile_q8(const std::byte* panel, std::int64_t block_begin, std::int64_t block_count, const ActivationTile& tile,
             float* y) noexcept {
  using V = Vector<Arch>;
  constexpr PanelLayout l = panel_layout(kFormat);
  constexpr BlockForm form = reference::block_form(kFormat);
  constexpr bool kSigned = kFormat == Format::q8_0 && !Arch::kVnni;  // the dot products take the offset off themselves
  for (int lane = 0; lane < kPanelRows; lane += V::kLanes) {
    typename V::F acc[kTokens];
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) acc[t] = V::loadf(y + kPanelRows * t + lane);
    for (std::int64_t b = 0; b < block_count; ++b) {
      const std::byte* codes = panel + l.codes_of(block_begin + b) + 4 * lane;
      const std::int64_t at = b * kTokens;
      const std::int8_t(*a)[32] = tile.codes + at;
      typename V::I dot[kTokens];
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t)
        dot[t] = form.offset != 0 && !kSigned ? V::broadcast4(tile.half[0] + at + t) : V::zero();
      PanelScales<Arch, kFormat> scales;
      if constexpr (form.kind == BlockKind::plain || form.kind == BlockKind::minimum) {
        dot_groups<Arch, kFormat, kTokens, 8>(codes, 0, a, dot);
        scales.load(panel, block_begin + b, lane);
      } else {
        dot_groups<Arch, kFormat, kTokens, 4>(codes, 0, a, dot);
        typename V::I second[kTokens];
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t)
          second[t] = form.offset != 0 ? V::broadcast4(tile.half[1] + at + t) : V::zero();
        dot_groups<Arch, kFormat, kTokens, 4>(codes, 4, a, second);
        scales.load(panel, block_begin + b, lane);
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t)
          dot[t] = V::add32(V::mul32(dot[t], scales.sc0), V::mul32(second[t], scales.sc1));
      }
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        const typename V::F s = V::setf(tile.scale[at + t]);
        acc[t] = V::fma(V::mul(scales.d, s), V::to_float(dot[t]), acc[t]);
        if constexpr (form.kind == BlockKind::minimum)
          acc[t] = V::fma(scales.m, V::setf(tile.scaled_sum[at + t]), acc[t]);
        if constexpr (form.kind == BlockKind::halves_min) {
          const typename V::I sum = V::add32(V::mul32(scales.mn0, V::broadcast4(tile.half[0] + at + t)),
                                             V::mul32(scales.mn1, V::broadcast4(tile.half[1] + at + t)));
          acc[t] = V::fma(V::negate(V::mul(scales.m, s)), V::to_float(sum), acc[t]);
        }
      }
    }
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) V::storef(y + kPanelRows * t + lane, acc[t]);
  }
}

/// Moves a tile of y between the caller's matrix, where the last panel is narrower, and [kTokens][16].
template <class Arch, int kTokens, class Matrix>
void load_chains(const Matrix& g, std::int64_t token_begin, int token_count, std::int64_t panel, bool first,
                 float* y) noexcept {
  if (first || token_count < kTokens) std::memset(y, 0, sizeof(float) * kPanelRows * kTokens);
  if (first) return;
  const std::int64_t row = panel * kPanelRows;
  const std::int64_t width = g.w.rows - row < kPanelRows ? g.w.rows - row : kPanelRows;
  for (int t = 0; t < token_count; ++t)
    std::memcpy(y + kPanelRows * t, g.y + (token_begin + t) * g.y_stride + row,
                static_cast<std::size_t>(width) * sizeof(float));
}
template <class Arch, class Matrix>
void store_chains(const Matrix& g, std::int64_t token_begin, int token_count, std::int64_t panel,
                  const float* y) noexcept {
  const std::int64_t row = panel * kPanelRows;
  const std::int64_t width = g.w.rows - row < kPanelRows ? g.w.rows - row : kPanelRows;
  for (int t = 0; t < token_count; ++t)
    std::memcpy(g.y + (token_begin + t) * g.y_stride + row, y + kPanelRows * t,
                static_cast<std::size_t>(width) * sizeof(float));
}

/// One tile of tokens over a stretch of k of panels [panel_begin, panel_end).
template <class Arch, Format kFormat, int kTokens>
void tile_over_panels(const GemmQ8& g, std::int64_t token_begin, int token_count, std::int64_t panel_begin,
                      std::int64_t panel_end, std::int64_t block_begin, std::int64_t block_count) noexcept {
  ActivationTile tile;
  fill_tile<Arch, kFormat, kTokens>(g, token_begin, token_count, block_begin, block_count, tile);
  alignas(64) float y[kTokens * kPanelRows];
  for (std::int64_t p = panel_begin; p < panel_end; ++p) {
    load_chains<Arch, kTokens>(g, token_begin, token_count, p, block_begin == 0, y);
    tile_q8<Arch, kFormat, kTokens>(g.w.data + p * g.w.panel_bytes, block_begin, block_count, tile, y);
    store_chains<Arch>(g, token_begin, token_count, p, y);
  }
}

/// Tile sizes: two accumulators per token (three with halves) and the codes in the registers of the ISA.
template <class Arch, Format kFormat>
struct TileTokens {
  static constexpr BlockKind kKind = reference::block_form(kFormat).kind;
  static constexpr bool kHalves = kKind == BlockKind::halves || kKind == BlockKind::halves_min;
  static constexpr int kMost = Vector<Arch>::kLanes == 16 ? (Arch::kVnni && !kHalves ? 12 : 8) : (kHalves ? 2 : 4);
};

template <class Arch, Format kFormat>
void gemm_q8(const GemmQ8& g) noexcept {
  constexpr PanelLayout l = panel_layout(kFormat);
  constexpr int kMost = TileTokens<Arch, kFormat>::kMost;
  if (g.token_count <= 0) return;
  // Tiles of nearly equal size: 13 tokens are 7 + 6, not 12 + 1.
  const std::int64_t tile_count = (g.token_count + kMost - 1) / kMost;
  const std::int64_t size = (g.token_count + tile_count - 1) / tile_count;
  const std::int64_t block_count = g.w.k / kBlock;
  const std::int64_t stretch = (kTileBlocks / (size <= 1   ? 1
                                               : size <= 2 ? 2
                                               : size <= 4 ? 4
                                               : size <= 8 ? 8
                                                           : 12)) /
                               8 * 8;
  const std::int64_t stretch_bytes = (stretch < block_count ? stretch : block_count) * l.super_bytes / l.super_blocks;
  const std::int64_t group = tile_count == 1 || stretch_bytes >= kGroupBytes ? 1 : kGroupBytes / stretch_bytes;
  const std::int64_t panel_step = tile_count == 1 ? g.panel_end - g.panel_begin : group;
  for (std::int64_t p = g.panel_begin; p < g.panel_end; p += panel_step) {
    const std::int64_t p_end = p + panel_step < g.panel_end ? p + panel_step : g.panel_end;
    for (std::int64_t b = 0; b < block_count; b += stretch) {
      const std::int64_t blocks = block_count - b < stretch ? block_count - b : stretch;
      for (std::int64_t t = 0; t < g.token_count; t += size) {
        const int n = static_cast<int>(g.token_count - t < size ? g.token_count - t : size);
        if (n == 1) {
          tile_over_panels<Arch, kFormat, 1>(g, t, n, p, p_end, b, blocks);
        } else if (n == 2) {
          tile_over_panels<Arch, kFormat, 2>(g, t, n, p, p_end, b, blocks);
        } else if constexpr (kMost >= 4) {
          if (n <= 4) {
            tile_over_panels<Arch, kFormat, 4>(g, t, n, p, p_end, b, blocks);
          } else if constexpr (kMost >= 8) {
            if (n <= 6) {
              tile_over_panels<Arch, kFormat, 6>(g, t, n, p, p_end, b, blocks);
            } else if (n <= 8) {
              tile_over_panels<Arch, kFormat, 8>(g, t, n, p, p_end, b, blocks);
            } else if constexpr (kMost >= 12) {
              tile_over_panels<Arch, kFormat, 12>(g, t, n, p, p_end, b, blocks);
            }
          }
        }
      }
    }
  }
}

}  // namespace moe::inline MOE_ABI::kernels

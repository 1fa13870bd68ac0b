#pragma once
// gemm_q8 on the tile registers of AMX: one instruction multiplies 16 tokens by the 16 rows of a panel over a block of
// 32.
//
// The sums are the same exact integers, and one float chain per output runs over the blocks as everywhere
// (docs/NUMERICS.md). Weights are unpacked to signed bytes, a part of a panel at a time, shared by all tiles of tokens.
// The products of a block are stored from the tile register while later blocks are multiplied.
//
// While a tile instruction runs, the second 512-bit multiplier (port 5) is unavailable: fma, multiplication and
// conversion have one port left, addition has both. Sums therefore become floats by additions (sums_to_float).

#include "kernels/gemm_q8.hpp"

namespace moe::inline MOE_ABI::kernels {

inline constexpr int kAmxTokens = 16;
/// Narrower tiles run on AVX-512, which is as fast at half a tile register.
inline constexpr int kAmxFromWidth = 8;
/// Blocks of a panel unpacked at a time: 32 KiB, two thirds of the L1 cache. An even number.
inline constexpr int kAmxStretch = 64;

/// Bytes of tiles that stay in the L2 cache while all panels are multiplied by them.
inline constexpr std::int64_t kAmxGroupBytes = 768 * 1024;

/// Blocks multiplied ahead of the one whose sums are added up; sums leave the tile registers two blocks later.
inline constexpr int kAmxAhead = 4;

/// The operand of ldtilecfg.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

template <class Arch, Format kFormat>
struct AmxScratch {
  static constexpr int kScales = PanelScales<Arch, kFormat>::kCount;
  static constexpr int kHalfCount = reference::block_form(kFormat).halves() ? 2 : 1;
  alignas(64) std::int8_t weights[kAmxStretch][8][64];         // [block][k / 4][16 rows x 4 values], offset subtracted
  alignas(64) float scales[kAmxStretch][kScales][kPanelRows];  // [block], decoded, if several tiles use them
  using Sums = std::int32_t[kHalfCount][kAmxTokens][16];       // [half][token][row]
  alignas(64) Sums sums[4];  // of two blocks that are added up, and of two that leave the tile registers
  alignas(64) float spare[kAmxTokens * kPanelRows];  // unused results
};

/// Integers of a block: codes without their offset; of int4 without their zero points.
template <class Arch, Format kFormat>
MOE_FORCE_INLINE void unpack_block(const std::byte* panel, const Panels& w, std::int64_t block,
                                   std::int8_t (*out)[64]) {
  using V = Vector<Arch>;
  constexpr PanelLayout l = panel_layout(kFormat);
  typename V::I offset = V::set8(static_cast<std::int8_t>(reference::block_form(kFormat).offset));
  if constexpr (kFormat == Format::int4)
    offset = zero_bytes<Arch>(panel, w.groups, ScaledLayout(kFormat, w.k, w.groups), w.groups.of(block * kBlock), 0);
#pragma GCC unroll 8
  for (int g = 0; g < 8; ++g)
    V::store(out[g], V::sub8(load_codes<Arch, kFormat>(panel + l.codes_of(block), g), offset));
}

/// Tile register kSums = tokens x weights: a block, or half of one.
template <int kSums>
MOE_FORCE_INLINE void multiply(const std::byte* codes, const std::int8_t (*weights)[64]) {
  _tile_loadd(4, codes, 32);
  _tile_loadd(5, weights, 64);
  // The intrinsics are macros that need the register number as a literal.
  if constexpr (kSums == 0) {
    _tile_zero(0);
    _tile_dpbssd(0, 4, 5);
  } else if constexpr (kSums == 1) {
    _tile_zero(1);
    _tile_dpbssd(1, 4, 5);
  } else if constexpr (kSums == 2) {
    _tile_zero(2);
    _tile_dpbssd(2, 4, 5);
  } else {
    _tile_zero(3);
    _tile_dpbssd(3, 4, 5);
  }
}

/// The scales of a block of a panel of w.
template <class Arch, Format kFormat>
MOE_FORCE_INLINE PanelScales<Arch, kFormat> scales_of_block(const std::byte* panel, const Panels& w,
                                                            std::int64_t block) {
  PanelScales<Arch, kFormat> scales;
  if constexpr (is_scaled_format(kFormat))
    scales.load(panel, w, block, 0, 0);
  else
    scales.load(panel, block, 0);
  return scales;
}

/// The sums of 16 rows as floats. Exact for |sum| < 2^22 (32 * 128 * 127 at most), as a conversion is: added to the
/// bits of 1.5 * 2^23, one more in the integer is one more in the float.
template <class Arch>
MOE_FORCE_INLINE typename Vector<Arch>::F sums_to_float(const std::int32_t (&sums)[16]) {
  using V = Vector<Arch>;
  return V::sub(V::as_float(V::add32(V::load(sums), V::set32(0x4b400000))), V::setf(12582912.0f));
}

/// A panel's blocks [begin, begin + count) times tiles of tokens. Products of kAmxAhead blocks are in flight while the
/// sums of earlier ones are added to their chains, also across tiles.
/// kMany: several tiles, so decoded scales are kept for the later ones.
template <class Arch, Format kFormat, int kWidth, bool kMany>
struct AmxStretch {
  using V = Vector<Arch>;
  using Scales = PanelScales<Arch, kFormat>;
  // One fma for each block, so that conversions may take the ports of another.
  static constexpr bool kOneFma = reference::block_form(kFormat).kind == BlockKind::plain || is_scaled_format(kFormat);
  static constexpr bool kHalves = reference::block_form(kFormat).halves();
  static constexpr std::int64_t kBytes = kWidth * kTileBlockBytes;  // of a block of a tile

  const std::byte* panel;
  const std::byte* ahead;  // the panel to prefetch, or null
  const Panels& w;
  std::int64_t begin;
  int count;               // even and at least kAmxAhead, or 1
  const std::byte* tiles;  // block `begin` of the first tile
  std::int64_t tile_bytes;
  std::int64_t tile_count;
  AmxScratch<Arch, kFormat>& s;

  using Sums = typename AmxScratch<Arch, kFormat>::Sums;
  int unpacked = 0;  // blocks
  int prefetched = 0, wait = 0;
  Sums* sums = s.sums;      // of the next two blocks
  Sums* free = s.sums + 2;  // for the two after them

  /// A single tile needs its weights once: a small buffer stays in the L1 cache.
  static MOE_FORCE_INLINE int slot(int block) { return kMany ? block : block % 8; }

  MOE_FORCE_INLINE void unpack_next() {
    if (unpacked == count) return;
    unpack_block<Arch, kFormat>(panel, w, begin + unpacked, s.weights[slot(unpacked)]);
    if constexpr (kMany) scales_of_block<Arch, kFormat>(panel, w, begin + unpacked).save(s.scales[unpacked]);
    ++unpacked;
  }

  /// Blocks alternate between two tile registers, kOdd.
  template <int kOdd>
  MOE_FORCE_INLINE void product(const std::byte* tile_block, int block) {
    multiply<kOdd>(tile_block, s.weights[slot(block)]);
    if constexpr (kHalves) multiply<2 + kOdd>(tile_block + 16, s.weights[slot(block)] + 4);
  }
  template <int kOdd>
  MOE_FORCE_INLINE void store(Sums* two) {
    Sums& out = two[kOdd];
    if constexpr (kOdd == 0) {
      _tile_stored(0, out[0], 64);
      if constexpr (kHalves) _tile_stored(2, out[1], 64);
    } else {
      _tile_stored(1, out[0], 64);
      if constexpr (kHalves) _tile_stored(3, out[1], 64);
    }
  }
  template <int kOdd>
  MOE_FORCE_INLINE void add(const std::byte* tile_block, int block, typename V::F (&acc)[kWidth]) {
    const TileBlock<kWidth> x{tile_block};
    Scales scales;
    if constexpr (kMany)
      scales.restore(s.scales[block]);
    else
      scales = scales_of_block<Arch, kFormat>(panel, w, begin + block);
    const Sums& in = sums[kOdd];
#pragma GCC unroll 16
    for (int t = 0; t < kWidth; ++t) {
      // Every fourth by a conversion, which balances the two ports.
      typename V::F sum = kOneFma && t % 4 == 0 ? V::to_float(V::load(in[0][t])) : sums_to_float<Arch>(in[0][t]);
      if constexpr (kHalves) sum = V::fma(scales.sc0, sum, V::mul(scales.sc1, sums_to_float<Arch>(in[1][t])));
      acc[t] = add_to_chain<Arch, kFormat>(scales, sum, x, t, acc[t]);
    }
  }

  /// Prefetches two more blocks of the next panel, spread over all tiles.
  MOE_FORCE_INLINE void prefetch_two_blocks() {
    if (kMany && ++wait < tile_count) return;
    wait = 0;
    prefetch_spread<Arch, kFormat, 1>(ahead, w.panel_bytes, begin + prefetched);
    prefetch_spread<Arch, kFormat, 1>(ahead, w.panel_bytes, begin + prefetched + 1);
    prefetched += 2;
  }

  /// Starts the first products of the first tile.
  MOE_FORCE_INLINE void start() {
    for (int i = 0; i < kAmxAhead + 2; ++i) unpack_next();
    product<0>(tiles, 0);
    if (count == 1) return;
    product<1>(tiles + kBytes, 1);
    store<0>(sums);
    product<0>(tiles + 2 * kBytes, 2);
    store<1>(sums);
    product<1>(tiles + 3 * kBytes, 3);
  }

  /// Adds up blocks b and b + 1; stores the sums of the two after them, multiplies the two after those.
  template <bool kStore, bool kMultiply>
  MOE_FORCE_INLINE void two_blocks(const std::byte* now, int b, const std::byte* next, int next_block,
                                   typename V::F (&acc)[kWidth]) {
    if constexpr (kStore) store<0>(free);
    if constexpr (kMultiply) product<0>(next, next_block);
    add<0>(now, b, acc);
    if constexpr (kStore) store<1>(free);
    if constexpr (kMultiply) product<1>(next + kBytes, next_block + 1);
    add<1>(now + kBytes, b + 1, acc);
    Sums* added = sums;
    sums = free, free = added;
  }

  /// Continues (or, at block 0, starts) the chains of a tile. y[t] points at the 16 results of token t. The first tile
  /// unpacks the panel.
  template <bool kFirst>
  MOE_FORCE_INLINE void tile(std::int64_t index, float* const (&y)[kWidth]) {
    typename V::F acc[kWidth];
#pragma GCC unroll 16
    for (int t = 0; t < kWidth; ++t) acc[t] = begin == 0 ? V::setf(0.0f) : V::loadf(y[t]);
    const std::byte* now = tiles + index * tile_bytes;
    const bool last = !kMany || (!kFirst && index + 1 == tile_count);
    if (count == 1) {
      store<0>(sums);
      if (!last) product<0>(now + tile_bytes, 0);
      add<0>(now, 0, acc);
    } else {
      const std::byte* next = now + kAmxAhead * kBytes;
      int next_block = kAmxAhead, b = 0;
      for (const int end = last ? count - kAmxAhead : count; b < end; b += 2) {
        if constexpr (kFirst) unpack_next(), unpack_next();
        if (ahead != nullptr) prefetch_two_blocks();
        if (next_block == count) next = now + tile_bytes, next_block = 0;
        two_blocks<true, true>(now + b * kBytes, b, next, next_block, acc);
        next += 2 * kBytes, next_block += 2;
      }
      if (last) {
        two_blocks<true, false>(now + b * kBytes, b, nullptr, 0, acc);
        two_blocks<false, false>(now + (b + 2) * kBytes, b + 2, nullptr, 0, acc);
      }
    }
#pragma GCC unroll 16
    for (int t = 0; t < kWidth; ++t) V::storef(y[t], acc[t]);
  }
};

/// One panel times tiles [tile_begin, tile_end): one, or many. `ahead` is prefetched, unless null.
template <class Arch, Format kFormat, int kWidth, bool kMany>
void amx_panel(const GemmQ8& g, const TileSplit& split, std::int64_t p, std::int64_t tile_begin, std::int64_t tile_end,
               const std::byte* ahead, AmxScratch<Arch, kFormat>& s) noexcept {
  const std::int64_t blocks = g.w.k / kBlock, row = p * kPanelRows, rows = g.w.rows - row;
  const bool whole = rows >= kPanelRows;
  const std::byte* panel = g.w.data + p * g.w.panel_bytes;
  const std::int64_t tile_bytes = kWidth * blocks * kTileBlockBytes;
  float* y[kWidth];
  for (std::int64_t begin = 0; begin < blocks;) {
    const std::int64_t rest = blocks - begin;
    const int count = rest < kAmxAhead ? 1 : static_cast<int>(rest < kAmxStretch ? rest / 2 * 2 : kAmxStretch);
    AmxStretch<Arch, kFormat, kWidth, kMany> stretch{
        panel,      ahead,
        g.w,        begin,
        count,      g.tiles + tile_begin * tile_bytes + begin * kWidth * kTileBlockBytes,
        tile_bytes, tile_end - tile_begin,
        s};
    stretch.start();
    for (std::int64_t tile = tile_begin; tile < tile_end; ++tile) {
      const std::int64_t first = tile * split.tokens;
      for (int t = 0; t < kWidth; ++t)
        y[t] = whole && t < split.tokens && first + t < g.token_count ? g.y + (first + t) * g.y_stride + row
                                                                      : s.spare + t * kPanelRows;
      // Prefetches the next tile's results, which may be in memory.
      for (int t = 0; t < split.tokens && whole && first + split.tokens + t < g.token_count; ++t)
        __builtin_prefetch(g.y + (first + split.tokens + t) * g.y_stride + row, 1, 3);
      if (!kMany || tile == tile_begin)
        stretch.template tile<true>(0, y);
      else
        stretch.template tile<false>(tile - tile_begin, y);
    }
    begin += count;
  }
  if (whole) return;  // a narrow panel comes tile by tile, so that its chains stay in `spare`
  const std::int64_t first = tile_begin * split.tokens;
  for (int t = 0; t < split.tokens && first + t < g.token_count; ++t)
    std::memcpy(g.y + (first + t) * g.y_stride + row, y[t], static_cast<std::size_t>(rows) * sizeof(float));
}

template <class Arch, Format kFormat, int kWidth>
void amx_width(const GemmQ8& g, const TileSplit& split) noexcept {
  constexpr bool kHalves = reference::block_form(kFormat).halves();
  TileConfig config;
  for (const int i : {0, 1, 2, 3}) config.rows[i] = kWidth, config.row_bytes[i] = 64;  // sums
  config.rows[4] = kWidth, config.row_bytes[4] = kHalves ? 16 : 32;                    // tokens
  config.rows[5] = kHalves ? 4 : 8, config.row_bytes[5] = 64;                          // weights
  _tile_loadconfig(&config);
  AmxScratch<Arch, kFormat> scratch;
  std::memset(scratch.spare, 0, sizeof scratch.spare);
  const std::int64_t tile_bytes = kWidth * (g.w.k / kBlock) * kTileBlockBytes;
  const std::int64_t fit = kAmxGroupBytes / tile_bytes, group = fit < 4 ? 4 : fit;
  for (std::int64_t first = 0; first < split.count; first += group) {
    const std::int64_t end = split.count - first < group ? split.count : first + group;
    for (std::int64_t p = g.panel_begin; p < g.panel_end; ++p) {
      const bool many = g.w.rows - p * kPanelRows >= kPanelRows && end - first > 1;
      const std::byte* ahead = p + 1 < g.panel_end  ? g.w.data + (p + 1) * g.w.panel_bytes
                               : end == split.count ? g.next
                                                    : nullptr;
      if (many) {
        amx_panel<Arch, kFormat, kWidth, true>(g, split, p, first, end, ahead, scratch);
        continue;
      }
      for (std::int64_t tile = first; tile < end; ++tile)
        amx_panel<Arch, kFormat, kWidth, false>(g, split, p, tile, tile + 1, tile == first ? ahead : nullptr, scratch);
    }
  }
  _tile_release();
}

template <class Arch, Format kFormat>
void gemm_q8_amx(const GemmQ8& g) noexcept {
  if (g.token_count <= 0) return;
  const TileSplit split = split_tiles(g.token_count, kAmxTokens);
  if (split.width < kAmxFromWidth)  // one tile, split the same way for every `most`
    return table_for<Avx512Vnni>().gemm_q8[static_cast<int>(kFormat)](g);
  switch (split.width) {
    case 8: return amx_width<Arch, kFormat, 8>(g, split);
    case 10: return amx_width<Arch, kFormat, 10>(g, split);
    case 12: return amx_width<Arch, kFormat, 12>(g, split);
    case 14: return amx_width<Arch, kFormat, 14>(g, split);
    default: return amx_width<Arch, kFormat, 16>(g, split);
  }
}

}  // namespace moe::inline MOE_ABI::kernels

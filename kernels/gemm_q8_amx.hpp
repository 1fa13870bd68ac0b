#pragma once
// gemm_q8 on the tile registers of AMX: one instruction multiplies 16 tokens by the 16 rows of a panel over a block of 32.
//
// The sums are the same exact integers, and one float chain per output runs over the blocks as everywhere
// (docs/NUMERICS.md). Weights are unpacked to signed bytes, a stretch of a panel at a time, shared by all tiles of tokens; the
// products of a block leave the tile register through memory while the next block is multiplied.

#include "kernels/gemm_q8.hpp"

namespace moe::inline MOE_ABI::kernels {

inline constexpr int kAmxTokens = 16;
/// Narrower tiles run on AVX-512: the tile registers are not filled, and memory is the limit anyway.
inline constexpr int kAmxFromWidth = 6;
/// Blocks of a panel unpacked at a time: 16 KiB, a third of the first cache.
inline constexpr int kAmxStretch = 32;

/// Bytes of tiles that stay in the second cache while all panels pass over them.
inline constexpr std::int64_t kAmxGroupBytes = 768 * 1024;

/// Blocks multiplied and unpacked ahead of the one whose sums are added up, and places for sums in memory (a power of two).
inline constexpr int kAmxAhead = 3;
inline constexpr int kUnpackAhead = kAmxAhead + 2;
inline constexpr int kAmxPlaces = 4;

/// What ldtilecfg reads.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

template <int kScales>
struct AmxScratch {
  alignas(64) std::int8_t weights[kAmxStretch][8][64];           // [block][k / 4][16 rows x 4 values], offset taken off
  alignas(64) float scales[kAmxStretch][kScales][kPanelRows];    // [block], decoded, where several tiles want them
  alignas(64) std::int32_t sums[kAmxPlaces][2][kAmxTokens][16];  // [place][half][token][row]
  alignas(64) float spare[kAmxTokens * kPanelRows];              // results that nobody wants
};

template <class Arch, Format kFormat>
MOE_FORCE_INLINE void unpack_block(const std::byte* panel, std::int64_t block, std::int8_t (*out)[64]) {
  using V = Vector<Arch>;
  constexpr PanelLayout l = panel_layout(kFormat);
  const typename V::I offset = V::set8(static_cast<std::int8_t>(reference::block_form(kFormat).offset));
#pragma GCC unroll 8
  for (int g = 0; g < 8; ++g)
    V::store(out[g], V::sub8(load_codes<Arch, kFormat>(panel + l.codes_of(block), g), offset));
}

/// out = tokens x weights: a whole block, or its first half. The second half has tiles of its own.
template <class Arch, bool kSecond>
MOE_FORCE_INLINE void multiply(const std::byte* codes, const std::int8_t (*weights)[64], std::int32_t (*out)[16]) {
  if constexpr (kSecond) {
    _tile_zero(3);
    _tile_loadd(4, codes, 32);
    _tile_loadd(5, weights, 64);
    _tile_dpbssd(3, 4, 5);
    _tile_stored(3, out, 64);
  } else {
    _tile_zero(0);
    _tile_loadd(1, codes, 32);
    _tile_loadd(2, weights, 64);
    _tile_dpbssd(0, 1, 2);
    _tile_stored(0, out, 64);
  }
}

/// One panel's stretch of blocks [begin, begin + count) times tiles of tokens. The products of a block leave the tile register
/// through memory; `kAmxAhead` blocks are on their way while the sums of earlier ones join their chains, across tiles too.
template <class Arch, Format kFormat, int kWidth>
struct AmxStretch {
  using V = Vector<Arch>;
  using Scales = PanelScales<Arch, kFormat>;
  static constexpr BlockKind kKind = reference::block_form(kFormat).kind;
  static constexpr bool kHalves = kKind == BlockKind::halves || kKind == BlockKind::halves_min;
  static constexpr std::int64_t kBytes = kWidth * kTileBlockBytes;  // of a block of a tile

  const std::byte* panel;
  std::int64_t begin;
  int count;
  const std::byte* tiles;  // block `begin` of the first tile
  std::int64_t tile_bytes;
  std::int64_t tile_count;
  AmxScratch<Scales::kCount>& s;

  int unpacked = 0;  // blocks
  // The next block to multiply, and the place for its sums.
  std::int64_t next_tile = 0;
  int next_block = 0;
  unsigned next_place = 0;

  /// Blocks are unpacked while the first tile meets them, so that memory is read at an even pace.
  MOE_FORCE_INLINE void unpack_next() {
    if (unpacked == count) return;
    unpack_block<Arch, kFormat>(panel, begin + unpacked, s.weights[unpacked]);
    if (tile_count > 1) {
      Scales scales;
      scales.load(panel, begin + unpacked, 0);
      scales.save(s.scales[unpacked]);
    }
    ++unpacked;
  }

  MOE_FORCE_INLINE void multiply_next() {
    if (next_tile == tile_count) return;
    const std::byte* codes = tiles + next_tile * tile_bytes + next_block * kBytes;
    multiply<Arch, false>(codes, s.weights[next_block], s.sums[next_place][0]);
    if constexpr (kHalves) multiply<Arch, true>(codes + 16, s.weights[next_block] + 4, s.sums[next_place][1]);
    next_place = (next_place + 1) % kAmxPlaces;
    if (++next_block == count) next_block = 0, ++next_tile;
  }

  /// Continues (or, at block 0, starts) the chains of a tile. y[t] points at the 16 results of token t.
  MOE_FORCE_INLINE void tile(std::int64_t index, unsigned& place, std::int64_t ahead, float* const (&y)[kWidth]) {
    typename V::F acc[kWidth];
#pragma GCC unroll 16
    for (int t = 0; t < kWidth; ++t) acc[t] = begin == 0 ? V::setf(0.0f) : V::loadf(y[t]);
    const std::byte* block = tiles + index * tile_bytes;
    for (int b = 0; b < count; ++b, block += kBytes, place = (place + 1) % kAmxPlaces) {
      unpack_next();
      multiply_next();
      if (ahead != 0) prefetch_spread<Arch, kFormat, 1>(panel + ahead, ahead, begin + b);
      const TileBlock<kWidth> x{block};
      Scales scales;
      tile_count > 1 ? scales.restore(s.scales[b]) : scales.load(panel, begin + b, 0);
      const auto& sums = s.sums[place];
#pragma GCC unroll 16
      for (int t = 0; t < kWidth; ++t) {
        typename V::F sum = V::to_float(V::load(sums[0][t]));
        if constexpr (kHalves) sum = V::fma(scales.sc0, sum, V::mul(scales.sc1, V::to_float(V::load(sums[1][t]))));
        acc[t] = add_to_chain<Arch, kFormat>(scales, sum, x, t, acc[t]);
      }
    }
#pragma GCC unroll 16
    for (int t = 0; t < kWidth; ++t) V::storef(y[t], acc[t]);
  }
};

/// One panel times tiles [tile_begin, tile_end).
template <class Arch, Format kFormat, int kWidth>
void amx_panel(const GemmQ8& g, const TileSplit& split, std::int64_t p, std::int64_t tile_begin, std::int64_t tile_end,
               AmxScratch<PanelScales<Arch, kFormat>::kCount>& s) noexcept {
  const std::int64_t blocks = g.w.k / kBlock, row = p * kPanelRows, rows = g.w.rows - row;
  const bool whole = rows >= kPanelRows;
  const std::byte* panel = g.w.data + p * g.w.panel_bytes;
  const std::int64_t tile_bytes = kWidth * blocks * kTileBlockBytes;
  float* y[kWidth];
  for (std::int64_t begin = 0; begin < blocks; begin += kAmxStretch) {
    const int count = static_cast<int>(blocks - begin < kAmxStretch ? blocks - begin : kAmxStretch);
    AmxStretch<Arch, kFormat, kWidth> stretch{
        panel,      begin,
        count,      g.tiles + tile_begin * tile_bytes + begin * kWidth * kTileBlockBytes,
        tile_bytes, tile_end - tile_begin,
        s};
    for (int i = 0; i < kUnpackAhead; ++i) stretch.unpack_next();
    for (int i = 0; i < kAmxAhead; ++i) stretch.multiply_next();
    unsigned place = 0;
    for (std::int64_t tile = tile_begin; tile < tile_end; ++tile) {
      const std::int64_t first = tile * split.tokens;
      for (int t = 0; t < kWidth; ++t)
        y[t] = whole && t < split.tokens && first + t < g.token_count ? g.y + (first + t) * g.y_stride + row
                                                                      : s.spare + t * kPanelRows;
      const std::int64_t ahead = tile == tile_begin && p + 1 < g.panel_end ? g.w.panel_bytes : 0;
      stretch.tile(tile - tile_begin, place, ahead, y);
    }
  }
  if (whole) return;  // a narrow panel comes tile by tile, so that its chains stay in `spare`
  const std::int64_t first = tile_begin * split.tokens;
  for (int t = 0; t < split.tokens && first + t < g.token_count; ++t)
    std::memcpy(g.y + (first + t) * g.y_stride + row, y[t], static_cast<std::size_t>(rows) * sizeof(float));
}

template <class Arch, Format kFormat, int kWidth>
void amx_width(const GemmQ8& g, const TileSplit& split) noexcept {
  constexpr BlockKind kind = reference::block_form(kFormat).kind;
  constexpr bool kHalves = kind == BlockKind::halves || kind == BlockKind::halves_min;
  TileConfig config;
  for (const int i : {0, 3}) config.rows[i] = kWidth, config.row_bytes[i] = 64;
  for (const int i : {1, 4}) config.rows[i] = kWidth, config.row_bytes[i] = kHalves ? 16 : 32;
  for (const int i : {2, 5}) config.rows[i] = kHalves ? 4 : 8, config.row_bytes[i] = 64;
  _tile_loadconfig(&config);
  AmxScratch<PanelScales<Arch, kFormat>::kCount> scratch;
  std::memset(scratch.spare, 0, sizeof scratch.spare);
  const std::int64_t tile_bytes = kWidth * (g.w.k / kBlock) * kTileBlockBytes;
  const std::int64_t fit = kAmxGroupBytes / tile_bytes, group = fit < 4 ? 4 : fit;
  for (std::int64_t first = 0; first < split.count; first += group) {
    const std::int64_t end = split.count - first < group ? split.count : first + group;
    for (std::int64_t p = g.panel_begin; p < g.panel_end; ++p) {
      const bool whole = g.w.rows - p * kPanelRows >= kPanelRows;
      for (std::int64_t tile = first; tile < end; tile += whole ? group : 1)
        amx_panel<Arch, kFormat, kWidth>(g, split, p, tile, whole ? end : tile + 1, scratch);
    }
  }
  _tile_release();
}

template <class Arch, Format kFormat>
void gemm_q8_amx(const GemmQ8& g) noexcept {
  if (g.token_count <= 0) return;
  const TileSplit split = split_tiles(g.token_count, kAmxTokens);
  if (split.width < kAmxFromWidth)  // one tile, cut the same way for every `most`
    return table_for<Avx512Vnni>().gemm_q8[static_cast<int>(kFormat)](g);
  switch (split.width) {
    case 6: return amx_width<Arch, kFormat, 6>(g, split);
    case 8: return amx_width<Arch, kFormat, 8>(g, split);
    case 10: return amx_width<Arch, kFormat, 10>(g, split);
    case 12: return amx_width<Arch, kFormat, 12>(g, split);
    case 14: return amx_width<Arch, kFormat, 14>(g, split);
    default: return amx_width<Arch, kFormat, 16>(g, split);
  }
}

}  // namespace moe::inline MOE_ABI::kernels

#pragma once
// y[t, r] = sum_k W[r, k] * x[t, k] for integer weights and q8g32 activations.
//
// Rows are lanes: one dot product multiplies kLanes rows by 4 values of one token, broadcast. Sums are exact in int32
// within a block of 32; one float chain per output runs over the blocks (docs/NUMERICS.md), so every Arch, tile and
// split gives the same bits. Activations come as tiles (fill_q8): all addresses of a block are constants from one
// pointer, and all panels share the cost of building a tile.

#include <cstring>

#include "kernels/panel_codes.hpp"
#include "kernels/table.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Bytes of a group of panels, multiplied by all tiles before the next group: a quarter of a 1 MiB L2 cache.
inline constexpr std::int64_t kGroupBytes = 256 * 1024;

/// One block of a tile of n tokens, kTileBlockBytes * n bytes:
///   codes  int8   [n][32]
///   scale  float  [n]
///   first  int32  [n]  -offset * sum of the codes (halves: of the first 16)
///                      minimum, halves_min: float, scale * sum of the codes; their sum in the first half
///   second int32  [n]  halves: the same for the last 16
///                      scaled formats: float, sum of the codes
template <int kWidth>
struct TileBlock {
  const std::byte* p;
  MOE_FORCE_INLINE const std::byte* codes(int t) const { return p + 32 * t; }
  MOE_FORCE_INLINE const std::byte* scale(int t) const { return p + 32 * kWidth + 4 * t; }
  MOE_FORCE_INLINE const std::byte* first(int t) const { return p + 36 * kWidth + 4 * t; }
  MOE_FORCE_INLINE const std::byte* second(int t) const { return p + 40 * kWidth + 4 * t; }
};

/// How the codes of a product are read.
enum class CodesAre : std::uint8_t {
  packed,     ///< as panel_layout.hpp says
  less_zero,  ///< int4: the zero point is subtracted in registers, and 16 added
  bytes,      ///< int4 after unpack_int4: the same in memory, a scale for each block
};

/// A register tile: tokens [kFirst, kFirst + kTokens) of a tile of kWidth, times kPanels panels.
template <int kWidthOfTile, int kFirstToken, int kTokenCount, int kPanelCount, CodesAre kCodesAre>
struct RegisterTile {
  static constexpr int kWidth = kWidthOfTile, kFirst = kFirstToken, kTokens = kTokenCount, kPanels = kPanelCount;
  static constexpr CodesAre kCodes = kCodesAre;
};

template <Format kFormat>
MOE_FORCE_INLINE void fill_block(std::byte* block, int n, int t, const std::int8_t* codes, float scale,
                                 const std::int16_t* sums) {
  constexpr BlockForm form = reference::block_form(kFormat);
  constexpr BlockKind kind = form.kind;
  const std::int32_t s0 = sums[0], s1 = sums[1];
  const auto put = [&](int at, auto value) { std::memcpy(block + at * n + 4 * t, &value, 4); };
  std::memcpy(block + 32 * t, codes, 32);
  put(32, scale);
  if constexpr (kind == BlockKind::plain || is_scaled_format(kFormat)) put(36, -form.offset * (s0 + s1));
  if constexpr (kind == BlockKind::minimum) put(36, scale * static_cast<float>(s0 + s1));
  if constexpr (is_scaled_format(kFormat)) put(40, static_cast<float>(s0 + s1));  // e4m3 becomes int8
  if constexpr (kind == BlockKind::halves) put(36, -form.offset * s0), put(40, -form.offset * s1);
  if constexpr (kind == BlockKind::halves_min) put(36, static_cast<float>(s0)), put(40, static_cast<float>(s1));
}

template <class Arch, Format kFormat>
void fill_q8(const FillQ8& f) noexcept {
  const TileSplit split = split_tiles(f.token_count, f.most);
  const std::int64_t blocks = f.x.k / kBlock;
  for (std::int64_t tile = f.tile_begin; tile < f.tile_end; ++tile) {
    std::byte* out = f.out + tile * split.width * blocks * kTileBlockBytes;
    for (int t = 0; t < split.width; ++t) {
      // A tile with fewer tokens repeats the last one; results of the repetition are dropped.
      const std::int64_t row = tile * split.tokens + (t < split.tokens ? t : split.tokens - 1);
      const std::int64_t last = f.token_count - 1, at = row < last ? row : last;
      const std::int64_t token = f.token_index != nullptr ? f.token_index[at] : at;
      const std::int8_t* codes = f.x.codes + token * f.x.k;
      const float* scales = f.x.scales + token * blocks;
      const std::int16_t* sums = f.x.sums + 2 * token * blocks;
      for (std::int64_t b = 0; b < blocks; ++b)
        fill_block<kFormat>(out + b * split.width * kTileBlockBytes, split.width, t, codes + kBlock * b, scales[b],
                            sums + 2 * b);
    }
  }
}

/// Tile sizes: two accumulators per token (three with halves) and the codes in the registers of the ISA.
template <class Arch, Format kFormat>
constexpr int most_tile_tokens() {
  constexpr bool kHalves = reference::block_form(kFormat).halves();
  return Vector<Arch>::kLanes == 16 ? (Arch::kVnni && !kHalves ? 12 : 8) : (kHalves ? 2 : 4);
}

/// Panels of a register tile. Wide tiles are split into halves with two panels: half as many broadcasts per dot
/// product, because the load ports are the limit. One or two tokens take four panels: four streams for the prefetchers.
template <class Arch, Format kFormat, int kWidth>
constexpr int panels_at_a_time() {
  // Codes that become integers in registers do so once for all tokens.
  if (kFormat == Format::e4m3 && kWidth >= 6) return 1;
  if (Vector<Arch>::kLanes < 16) return kWidth == 1 ? 2 : 1;  // half as many registers
  if (kWidth <= 2) return 4;
  return kWidth >= 8 || kWidth == 4 ? 2 : 1;
}

/// Codes of 8 bits do not fit the pairs of int16 that are summed where the ISA has no dot products of bytes: their sign
/// moves to the activation, and the dot products subtract the offset of 128.
template <class Arch, Format kFormat>
inline constexpr bool kSignedCodes = panel_layout(kFormat).byte_codes && !Arch::kVnni;

/// The largest code of int4 less its zero point, plus 16.
inline constexpr int kLessZeroMost = 15 + reference::kMaxInt4Zero;

/// The dot products of groups [g_begin, g_begin + kCount) of one block with every token. A broadcast serves all panels.
/// `shift`: added to the codes of a panel (CodesAre::less_zero).
template <class Arch, Format kFormat, class Tile, int kCount>
MOE_FORCE_INLINE void dot_groups(const std::byte* const (&codes)[Tile::kPanels], int g_begin, TileBlock<Tile::kWidth> x,
                                 const typename Vector<Arch>::I (&shift)[Tile::kPanels],
                                 typename Vector<Arch>::I (&out)[Tile::kPanels][Tile::kTokens]) {
  using V = Vector<Arch>;
  constexpr BlockForm form = reference::block_form(kFormat);
  constexpr int kTokens = Tile::kTokens, kPanels = Tile::kPanels;
  if constexpr (kSignedCodes<Arch, kFormat> && Tile::kCodes == CodesAre::packed) {
    // |w| <= 128: 128 * 127 * 2 < 32767. `out` starts without the offset here.
#pragma GCC unroll 8
    for (int g = 0; g < kCount; ++g)
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) {
        const SignedCodes<Arch> w = load_signed_codes<Arch, kFormat>(codes[p], g_begin + g);
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) {
          const typename V::I a = V::with_sign8(V::broadcast4(x.codes(Tile::kFirst + t) + 4 * (g_begin + g)), w.sign);
          out[p][t] = V::add32(out[p][t], V::add_pairs16(V::mul_pairs8(w.magnitude, a)));
        }
      }
  } else {
    constexpr int kMost = Tile::kCodes == CodesAre::packed ? form.max_code : kLessZeroMost;
    BlockDot<Arch, kMost> dot[kPanels][kTokens];
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) dot[p][t].start(out[p][t]);
#pragma GCC unroll 8
    for (int g = 0; g < kCount; ++g) {
      typename V::I c[kPanels];
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) {
        c[p] = load_codes<Arch, kFormat>(codes[p], g_begin + g);
        if constexpr (Tile::kCodes == CodesAre::less_zero) c[p] = V::add8(c[p], shift[p]);
      }
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        const typename V::I a = V::broadcast4(x.codes(Tile::kFirst + t) + 4 * (g_begin + g));
#pragma GCC unroll 4
        for (int p = 0; p < kPanels; ++p) dot[p][t].add(c[p], a, g, kCount);
      }
    }
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) out[p][t] = dot[p][t].sum;
  }
}

template <class Arch, class Tile>
MOE_FORCE_INLINE void start_sums(bool offset, TileBlock<Tile::kWidth> x, bool second,
                                 typename Vector<Arch>::I (&out)[Tile::kPanels][Tile::kTokens]) {
  using V = Vector<Arch>;
#pragma GCC unroll 16
  for (int t = 0; t < Tile::kTokens; ++t) {
    const std::byte* p = second ? x.second(Tile::kFirst + t) : x.first(Tile::kFirst + t);
    typename V::I from = offset ? V::broadcast4(p) : V::zero();
    // Tiles of int4 hold -8 times the sum of the codes; weights to which 16 was added need -16 times.
    if constexpr (Tile::kCodes != CodesAre::packed) from = V::add32(from, from);
#pragma GCC unroll 4
    for (int i = 0; i < Tile::kPanels; ++i) out[i][t] = from;
  }
}

/// Prefetches block b of the next panels, so that memory accesses and dot products overlap.
template <class Arch, Format kFormat, int kPanels>
MOE_FORCE_INLINE void prefetch_block(const std::byte* panel, std::int64_t panel_bytes, std::int64_t block) {
  constexpr PanelLayout l = panel_layout(kFormat);
  constexpr int kBytes = l.super_bytes / l.super_blocks;
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 10
    for (int i = 0; i < (kBytes + 63) / 64; ++i)
      __builtin_prefetch(panel + p * panel_bytes + block * kBytes + 64 * i, 0, 2);
}

/// The same, one cache line in each of several parts of those panels: as many streams for the L2 prefetcher. For few
/// panels, whose arithmetic would otherwise wait for memory.
template <class Arch, Format kFormat, int kPanels>
MOE_FORCE_INLINE void prefetch_spread(const std::byte* panel, std::int64_t panel_bytes, std::int64_t block) {
  constexpr PanelLayout l = panel_layout(kFormat);
  constexpr int kLines = kPanels * ((l.super_bytes / l.super_blocks + 63) / 64);  // a block
  const std::int64_t stretch = kPanels * panel_bytes / kLines / 64 * 64 + 64;
#pragma GCC unroll 20
  for (int i = 0; i < kLines; ++i) __builtin_prefetch(panel + i * stretch + 64 * block, 0, 2);
}

/// acc + one block: `sum` holds the integer part of 16 rows, already multiplied by the scales of its halves.
template <class Arch, Format kFormat, int kWidth>
MOE_FORCE_INLINE typename Vector<Arch>::F add_to_chain(const PanelScales<Arch, kFormat>& scales,
                                                       typename Vector<Arch>::F sum, TileBlock<kWidth> x, int token,
                                                       typename Vector<Arch>::F acc) {
  using V = Vector<Arch>;
  constexpr BlockKind kind = reference::block_form(kFormat).kind;
  const typename V::F s = V::broadcastf(x.scale(token));
  acc = V::fma(V::mul(scales.d, s), sum, acc);
  if constexpr (kind == BlockKind::minimum) acc = V::fma(scales.m, V::broadcastf(x.first(token)), acc);
  if constexpr (kind == BlockKind::halves_min) {
    const typename V::F mins =
        V::fma(scales.mn0, V::broadcastf(x.first(token)), V::mul(scales.mn1, V::broadcastf(x.second(token))));
    acc = V::fma(V::negate(V::mul(scales.m, s)), mins, acc);
  }
  return acc;
}

/// The chains of a register tile over all blocks; y[i] points at the 16 results of token kFirst + i of the first panel,
/// those of the next panel follow. ahead: panels to prefetch, or null. more: the chains go on from y. Long, because
/// every step works on the same arrays of registers.
template <class Arch, Format kFormat, class Tile>
MOE_FORCE_INLINE void tile_q8(const std::byte* panel, const Panels& w, const std::byte* tile, const std::byte* ahead,
                              float* const* y, bool more) {
  using V = Vector<Arch>;
  constexpr PanelLayout l = panel_layout(kFormat);
  constexpr BlockForm form = reference::block_form(kFormat);
  constexpr int kTokens = Tile::kTokens, kPanels = Tile::kPanels;
  constexpr bool kHalves = form.halves();
  constexpr bool kScaled = is_scaled_format(kFormat);
  constexpr bool kGroups = form.kind == BlockKind::groups;
  // Of a group, in registers. Without dot products there are too few: loading them again for each block is faster then,
  // and so is the same sum whether there are zero points or not.
  constexpr bool kKeepScales = kScaled && Arch::kVnni;
  constexpr bool kPacked = Tile::kCodes == CodesAre::packed;
  constexpr bool kOffset = !kPacked || (form.offset != 0 && !kSignedCodes<Arch, kFormat> && (!kGroups || kKeepScales));
  constexpr int kSubtracted = kOffset || kSignedCodes<Arch, kFormat> ? form.offset : 0;
  const std::int64_t panel_bytes = w.panel_bytes, block_count = w.k / kBlock;
  const ScaledLayout scaled(kFormat, w.k, w.groups);  // kScaled
  const std::int64_t group_blocks = w.groups.columns / kBlock, phase_blocks = w.groups.phase / kBlock;
  for (int lane = 0; lane < kPanelRows; lane += V::kLanes) {
    std::int64_t next_group = 0, group_from = 0;  // of the group after the loaded one: its number and first block
    GroupScales<Arch, kFormat> of_group[kPanels] = {};
    typename V::I shift[kPanels] = {};  // less_zero: of the loaded group
    typename V::F acc[kPanels][kTokens];
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) acc[p][t] = more ? V::loadf(y[t] + p * kPanelRows + lane) : V::setf(0.0f);
    TileBlock<Tile::kWidth> x{tile};
    for (std::int64_t b = 0; b < block_count; ++b, x.p += Tile::kWidth * kTileBlockBytes) {
      if (ahead != nullptr) {
        if constexpr (kPanels < 4)
          prefetch_spread<Arch, kFormat, kPanels>(ahead, panel_bytes, b);
        else
          prefetch_block<Arch, kFormat, kPanels>(ahead, panel_bytes, b);
      }
      const std::byte* codes[kPanels];
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) codes[p] = panel + p * panel_bytes + l.codes_of(b) + 4 * lane;
      typename V::I dot[kPanels][kTokens];
      start_sums<Arch, Tile>(kOffset, x, false, dot);
      PanelScales<Arch, kFormat> scales[kPanels];
      typename V::F sum[kPanels][kTokens];
      if constexpr (kHalves) {
        dot_groups<Arch, kFormat, Tile, 4>(codes, 0, x, shift, dot);
        typename V::I second[kPanels][kTokens];
        start_sums<Arch, Tile>(kOffset, x, true, second);
        dot_groups<Arch, kFormat, Tile, 4>(codes, 4, x, shift, second);
        // Products and sum are integers below 2^24: exact in float32, and cheaper there than as int32.
#pragma GCC unroll 4
        for (int p = 0; p < kPanels; ++p) {
          scales[p].load(panel + p * panel_bytes, b, lane);
#pragma GCC unroll 16
          for (int t = 0; t < kTokens; ++t)
            sum[p][t] = V::fma(scales[p].sc0, V::to_float(dot[p][t]), V::mul(scales[p].sc1, V::to_float(second[p][t])));
        }
      } else if constexpr (kScaled) {
        if (b == group_from) {
#pragma GCC unroll 4
          for (int p = 0; kKeepScales && p < kPanels; ++p) {
            of_group[p].load(panel + p * panel_bytes, w.groups, scaled, next_group, lane, kSubtracted);
            if constexpr (Tile::kCodes == CodesAre::less_zero)
              shift[p] = zero_shift<Arch>(panel + p * panel_bytes, w.groups, scaled, next_group, lane);
          }
          next_group += 1, group_from = next_group * group_blocks - phase_blocks;
        }
        dot_groups<Arch, kFormat, Tile, 8>(codes, 0, x, shift, dot);
#pragma GCC unroll 4
        for (int p = 0; p < kPanels; ++p) {
          if constexpr (!kKeepScales)
            of_group[p].load(panel + p * panel_bytes, w.groups, scaled, next_group - 1, lane, kSubtracted);
          scales[p].set(of_group[p], panel + p * panel_bytes, b, lane);
#pragma GCC unroll 16
          for (int t = 0; t < kTokens; ++t) sum[p][t] = V::to_float(dot[p][t]);
        }
        if (kGroups && kPacked && (!kKeepScales || w.groups.zeros)) {
#pragma GCC unroll 4
          for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 16
            for (int t = 0; t < kTokens; ++t)  // integers below 2^24: exact
              sum[p][t] = V::fma(scales[p].negative_zero, V::broadcastf(x.second(Tile::kFirst + t)), sum[p][t]);
        }
      } else {
        dot_groups<Arch, kFormat, Tile, 8>(codes, 0, x, shift, dot);
#pragma GCC unroll 4
        for (int p = 0; p < kPanels; ++p) {
          scales[p].load(panel + p * panel_bytes, b, lane);
#pragma GCC unroll 16
          for (int t = 0; t < kTokens; ++t) sum[p][t] = V::to_float(dot[p][t]);
        }
      }
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
        for (int p = 0; p < kPanels; ++p) {
          acc[p][t] = add_to_chain<Arch, kFormat>(scales[p], sum[p][t], x, Tile::kFirst + t, acc[p][t]);
        }
      }
    }
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) V::storef(y[t] + p * kPanelRows + lane, acc[p][t]);
  }
}

/// Panels [panel_begin, panel_end) times one tile of `token_count` tokens that starts at row `y`; the first tile of
/// these panels prefetches. more: the chains go on from y.
template <class Arch, Format kFormat, int kWidth, CodesAre kCodes>
void tile_over_panels(const GemmQ8& g, const std::byte* tile, int token_count, std::int64_t panel_begin,
                      std::int64_t panel_end, bool first, float* y, bool more = false) noexcept {
  constexpr int kPanels = panels_at_a_time<Arch, kFormat, kWidth>();
  constexpr int kPart = kPanels > 1 && kWidth >= 8 ? kWidth / 2 : kWidth;
  alignas(64) float spare[kWidth * kPanels * kPanelRows];
  if (more) std::memset(spare, 0, sizeof spare);
  for (std::int64_t p = panel_begin; p < panel_end;) {
    const std::int64_t row = p * kPanelRows, rows = g.w.rows - row;
    const int panels = panel_end - p >= kPanels ? kPanels : 1;
    const std::int64_t width = panels * kPanelRows;
    const bool whole = rows >= width;
    float* out[kWidth];
    for (int t = 0; t < kWidth; ++t)
      out[t] = whole && t < token_count ? y + t * g.y_stride + row : spare + t * kPanels * kPanelRows;
    const auto narrow = static_cast<std::size_t>(rows < width ? rows : width) * sizeof(float);
    for (int t = 0; more && !whole && t < token_count; ++t) std::memcpy(out[t], y + t * g.y_stride + row, narrow);
    const std::byte* panel = g.w.data + p * g.w.panel_bytes;
    const std::byte* ahead = !first ? nullptr : p + panels < g.panel_end ? panel + panels * g.w.panel_bytes : g.next;
    if (panels == kPanels) {
      tile_q8<Arch, kFormat, RegisterTile<kWidth, 0, kPart, kPanels, kCodes>>(panel, g.w, tile, ahead, out, more);
      if constexpr (kPart < kWidth)
        tile_q8<Arch, kFormat, RegisterTile<kWidth, kPart, kPart, kPanels, kCodes>>(panel, g.w, tile, nullptr,
                                                                                    out + kPart, more);
    } else {
      tile_q8<Arch, kFormat, RegisterTile<kWidth, 0, kWidth, 1, kCodes>>(panel, g.w, tile, ahead, out, more);
    }
    for (int t = 0; !whole && t < token_count; ++t) std::memcpy(y + t * g.y_stride + row, out[t], narrow);
    p += panels;
  }
}

template <class Arch, Format kFormat, CodesAre kCodes, int kTokens>
MOE_FORCE_INLINE void tiles_of_width(const GemmQ8& g, const TileSplit& split, std::int64_t panel_begin,
                                     std::int64_t panel_end) {
  if constexpr (kTokens <= most_tile_tokens<Arch, kFormat>()) {
    const std::int64_t tile_bytes = kTokens * (g.w.k / kBlock) * kTileBlockBytes;
    for (std::int64_t tile = 0; tile < split.count; ++tile) {
      const std::int64_t first = tile * split.tokens, rest = g.token_count - first;
      tile_over_panels<Arch, kFormat, kTokens, kCodes>(g, g.tiles + tile * tile_bytes,
                                                       static_cast<int>(rest < split.tokens ? rest : split.tokens),
                                                       panel_begin, panel_end, tile == 0, g.y + first * g.y_stride);
    }
  }
}

template <class Arch, Format kFormat, CodesAre kCodes = CodesAre::packed>
void gemm_q8(const GemmQ8& g) noexcept {
  if (g.token_count <= 0) return;
  const TileSplit split = split_tiles(g.token_count, most_tile_tokens<Arch, kFormat>());
  const std::int64_t fit = kGroupBytes / g.w.panel_bytes;
  const std::int64_t group = split.count == 1 ? g.panel_end - g.panel_begin : fit < 1 ? 1 : fit;
  for (std::int64_t p = g.panel_begin; p < g.panel_end; p += group) {
    const std::int64_t end = p + group < g.panel_end ? p + group : g.panel_end;
    switch (split.width) {
      case 1: tiles_of_width<Arch, kFormat, kCodes, 1>(g, split, p, end); break;
      case 2: tiles_of_width<Arch, kFormat, kCodes, 2>(g, split, p, end); break;
      case 4: tiles_of_width<Arch, kFormat, kCodes, 4>(g, split, p, end); break;
      case 6: tiles_of_width<Arch, kFormat, kCodes, 6>(g, split, p, end); break;
      case 8: tiles_of_width<Arch, kFormat, kCodes, 8>(g, split, p, end); break;
      case 10: tiles_of_width<Arch, kFormat, kCodes, 10>(g, split, p, end); break;
      default: tiles_of_width<Arch, kFormat, kCodes, 12>(g, split, p, end); break;
    }
  }
}

}  // namespace moe::inline MOE_ABI::kernels

#pragma once
// gemm_q8 of many tokens for e4m3, and for int4 without dot products of bytes: a few blocks of some panels at a time
// become panels of bytes with a scale per block, in the L1 cache, and all tiles of tokens are multiplied by them: the
// same integers and the same scales, so the same bits. For few tokens codes become integers in registers (load_codes):
// gemm_e4m3 and gemm_int4 choose.

#include "kernels/gemm_q8.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Blocks and panels that are bytes at a time: 18 KiB.
inline constexpr int kUnpackedBlocks = 16, kUnpackedPanels = 2;
/// Of a block of a panel: codes and float32 scales.
inline constexpr std::int64_t kUnpackedBytes = kPanelRows * (kBlock + 4);

/// Blocks [begin, begin + count) of a panel of w, as a panel of int8 with groups of 32 columns; of int4 the codes less
/// their zero points, plus 16. As many blocks from `ahead` on are prefetched, unless it is null.
template <class Arch, Format kFormat>
void unpack(const std::byte* panel, const Panels& w, std::int64_t begin, std::int64_t count, const std::byte* ahead,
            std::byte* out) noexcept {
  using V = Vector<Arch>;
  constexpr PanelLayout l = panel_layout(kFormat);
  const ScaledLayout scaled(kFormat, w.k, w.groups);
  auto* scales = reinterpret_cast<float*>(out + count * kPanelRows * kBlock);
  for (int lane = 0; lane < kPanelRows; lane += V::kLanes) {
    GroupScales<Arch, kFormat> of_group{};
    typename V::I shift{};
    std::int64_t loaded = -1;
    for (std::int64_t i = 0; i < count; ++i) {
      if (ahead != nullptr && lane == 0) prefetch_block<Arch, kFormat, 1>(ahead, 0, i);
      if (const std::int64_t group = w.groups.of((begin + i) * kBlock); group != loaded) {
        of_group.load(panel, w.groups, scaled, group, lane, 0);
        if constexpr (kFormat == Format::int4) shift = zero_shift<Arch>(panel, w.groups, scaled, group, lane);
        loaded = group;
      }
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g) {
        typename V::I codes = load_codes<Arch, kFormat>(panel + l.codes_of(begin + i) + 4 * lane, g);
        if constexpr (kFormat == Format::int4) codes = V::add8(codes, shift);
        V::store(out + 512 * i + 64 * g + 4 * lane, codes);
      }
      PanelScales<Arch, kFormat> of_block;
      of_block.set(of_group, panel, begin + i, lane);
      V::storef(scales + i * kPanelRows + lane, of_block.d);
    }
  }
}

template <class Arch, Format kFormat, int kWidth>
void gemm_unpacked_of_width(const GemmQ8& g, const TileSplit& split) noexcept {
  if constexpr (kWidth <= most_tile_tokens<Arch, kFormat>()) {
    alignas(64) std::byte unpacked[kUnpackedPanels * kUnpackedBlocks * kUnpackedBytes];
    constexpr PanelLayout l = panel_layout(kFormat);
    constexpr CodesAre kCodes = kFormat == Format::int4 ? CodesAre::bytes : CodesAre::packed;
    const std::int64_t blocks = g.w.k / kBlock, tile_bytes = kWidth * blocks * kTileBlockBytes;
    for (std::int64_t p = g.panel_begin; p < g.panel_end; p += kUnpackedPanels) {
      const std::int64_t panels = g.panel_end - p < kUnpackedPanels ? g.panel_end - p : kUnpackedPanels;
      const std::byte* panel = g.w.data + p * g.w.panel_bytes;
      for (std::int64_t begin = 0; begin < blocks; begin += kUnpackedBlocks) {
        const std::int64_t count = blocks - begin < kUnpackedBlocks ? blocks - begin : kUnpackedBlocks;
        GemmQ8 part = g;
        part.w = {unpacked, count * kUnpackedBytes, g.w.rows - p * kPanelRows, count * kBlock, {kBlock, 0, count}};
        const std::byte* ahead = begin + count < blocks     ? panel + l.header_of(begin + count)
                                 : p + panels < g.panel_end ? panel + panels * g.w.panel_bytes
                                                            : g.next;
        for (std::int64_t i = 0; i < panels; ++i)
          unpack<Arch, kFormat>(panel + i * g.w.panel_bytes, g.w, begin, count,
                                ahead != nullptr ? ahead + i * g.w.panel_bytes : nullptr,
                                unpacked + i * part.w.panel_bytes);
        for (std::int64_t tile = 0; tile < split.count; ++tile) {
          const std::int64_t first = tile * split.tokens, rest = g.token_count - first;
          tile_over_panels<Arch, Format::int8, kWidth, kCodes>(
              part, g.tiles + tile * tile_bytes + begin * kWidth * kTileBlockBytes,
              static_cast<int>(rest < split.tokens ? rest : split.tokens), 0, panels, false,
              g.y + first * g.y_stride + p * kPanelRows, begin > 0);
        }
      }
    }
  }
}

template <class Arch, Format kFormat>
void gemm_unpacked(const GemmQ8& g, const TileSplit& split) noexcept {
  switch (split.width) {
    case 2: return gemm_unpacked_of_width<Arch, kFormat, 2>(g, split);
    case 4: return gemm_unpacked_of_width<Arch, kFormat, 4>(g, split);
    case 6: return gemm_unpacked_of_width<Arch, kFormat, 6>(g, split);
    case 8: return gemm_unpacked_of_width<Arch, kFormat, 8>(g, split);
    case 10: return gemm_unpacked_of_width<Arch, kFormat, 10>(g, split);
    default: return gemm_unpacked_of_width<Arch, kFormat, 12>(g, split);
  }
}

/// Up to so many tokens, codes of e4m3 become integers in registers, again for each tile (docs/PERFORMANCE.md).
template <class Arch>
constexpr std::int64_t most_tokens_in_registers() {
  if (requires { &Vector<Arch>::lookup128; }) return 36;
  if (Vector<Arch>::kLanes < 16) return 4;
  return Arch::kVnni ? 12 : 24;
}

template <class Arch>
void gemm_e4m3(const GemmQ8& g) noexcept {
  if (g.token_count <= 0) return;
  constexpr Format kFormat = Format::e4m3;
  if (g.token_count <= most_tokens_in_registers<Arch>()) return gemm_q8<Arch, kFormat>(g);
  gemm_unpacked<Arch, kFormat>(g, split_tiles(g.token_count, most_tile_tokens<Arch, kFormat>()));
}
#ifdef __AVX512VNNI__
/// With AVX-512 VBMI, which most CPUs with VNNI have (isa/avx512vbmi.cpp).
void gemm_e4m3_vbmi(const GemmQ8& g) noexcept;
#endif

/// What this CPU runs.
template <class Arch>
GemmQ8Fn e4m3_product() noexcept {
#ifdef __AVX512VNNI__
  if constexpr (Arch::kVnni)
    if (__builtin_cpu_supports("avx512vbmi")) return gemm_e4m3_vbmi;
#endif
  return gemm_e4m3<Arch>;
}

/// Tokens from which on codes of int4 become bytes first, where there are no dot products of bytes (docs/PERFORMANCE.md).
template <class Arch>
inline constexpr std::int64_t kUnpackInt4From = Vector<Arch>::kLanes == 16 ? 32 : 12;

template <class Arch>
void gemm_int4(const GemmQ8& g) noexcept {
  constexpr Format kFormat = Format::int4;
  if constexpr (Arch::kVnni) {
    // One or two tokens wait for memory: fewer instructions per code matter more than those per token.
    if (g.w.groups.zeros && g.token_count > 2) return gemm_q8<Arch, kFormat, CodesAre::less_zero>(g);
  } else if (g.token_count >= kUnpackInt4From<Arch>) {
    return gemm_unpacked<Arch, kFormat>(g, split_tiles(g.token_count, most_tile_tokens<Arch, kFormat>()));
  }
  gemm_q8<Arch, kFormat>(g);
}

}  // namespace moe::inline MOE_ABI::kernels

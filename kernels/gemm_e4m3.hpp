#pragma once
// gemm_q8 for e4m3: one or two tokens read the codes in registers (load_codes). For more, a few blocks of some panels at
// a time become panels of int8 with a scale per block, in the L1 cache, and all tiles of tokens are multiplied by them:
// the same integers and the same scales, so the same bits.

#include "kernels/gemm_q8.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Blocks and panels that are int8 at a time: 18 KiB.
inline constexpr int kE4m3Blocks = 16, kE4m3Panels = 2;
/// Of a block of a panel: codes and float32 scales.
inline constexpr std::int64_t kE4m3UnpackedBytes = kPanelRows * (kBlock + 4);

/// Blocks [begin, begin + count) of a panel of w, as a panel of int8 with groups of 32 columns. As many blocks from
/// `ahead` on are prefetched, unless it is null.
template <class Arch>
void unpack_e4m3(const std::byte* panel, const Panels& w, std::int64_t begin, std::int64_t count,
                 const std::byte* ahead, std::byte* out) noexcept {
  using V = Vector<Arch>;
  constexpr PanelLayout l = panel_layout(Format::e4m3);
  const ScaledLayout scaled(Format::e4m3, w.k, w.groups);
  std::byte* scales = out + count * kPanelRows * kBlock;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::byte* of_group = panel + scaled.scales_of(w.groups.of((begin + i) * kBlock));
    if (ahead != nullptr) prefetch_block<Arch, Format::e4m3, 1>(ahead, 0, i);
    for (int lane = 0; lane < kPanelRows; lane += V::kLanes) {
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g)
        V::store(out + 512 * i + 64 * g + 4 * lane,
                 load_codes<Arch, Format::e4m3>(panel + l.codes_of(begin + i) + 4 * lane, g));
      V::storef(reinterpret_cast<float*>(scales) + i * kPanelRows + lane,
                V::mul(V::loadf(reinterpret_cast<const float*>(of_group) + lane),
                       load_e4m3_unit<Arch>(panel, begin + i, lane)));
    }
  }
}

using UnpackE4m3Fn = void (*)(const std::byte*, const Panels&, std::int64_t, std::int64_t, const std::byte*,
                              std::byte*) noexcept;
#ifdef __AVX512VNNI__
/// The same with AVX-512 VBMI, which most CPUs with VNNI have (isa/avx512vbmi.cpp).
void unpack_e4m3_vbmi(const std::byte* panel, const Panels& w, std::int64_t begin, std::int64_t count,
                      const std::byte* ahead, std::byte* out) noexcept;
#endif

template <class Arch, UnpackE4m3Fn kUnpack, int kWidth>
void gemm_e4m3_unpacked(const GemmQ8& g, const TileSplit& split) noexcept {
  if constexpr (kWidth <= most_tile_tokens<Arch, Format::e4m3>()) {
    alignas(64) std::byte unpacked[kE4m3Panels * kE4m3Blocks * kE4m3UnpackedBytes];
    constexpr PanelLayout l = panel_layout(Format::e4m3);
    const std::int64_t blocks = g.w.k / kBlock, tile_bytes = kWidth * blocks * kTileBlockBytes;
    for (std::int64_t p = g.panel_begin; p < g.panel_end; p += kE4m3Panels) {
      const std::int64_t panels = g.panel_end - p < kE4m3Panels ? g.panel_end - p : kE4m3Panels;
      const std::byte* panel = g.w.data + p * g.w.panel_bytes;
      for (std::int64_t begin = 0; begin < blocks; begin += kE4m3Blocks) {
        const std::int64_t count = blocks - begin < kE4m3Blocks ? blocks - begin : kE4m3Blocks;
        GemmQ8 part = g;
        part.w = {unpacked, count * kE4m3UnpackedBytes, g.w.rows - p * kPanelRows, count * kBlock, {kBlock, 0, count}};
        const std::byte* ahead = begin + count < blocks     ? panel + l.header_of(begin + count)
                                 : p + panels < g.panel_end ? panel + panels * g.w.panel_bytes
                                                            : g.next;
        for (std::int64_t i = 0; i < panels; ++i)
          kUnpack(panel + i * g.w.panel_bytes, g.w, begin, count,
                  ahead != nullptr ? ahead + i * g.w.panel_bytes : nullptr, unpacked + i * part.w.panel_bytes);
        for (std::int64_t tile = 0; tile < split.count; ++tile) {
          const std::int64_t first = tile * split.tokens, rest = g.token_count - first;
          tile_over_panels<Arch, Format::int8, kWidth>(
              part, g.tiles + tile * tile_bytes + begin * kWidth * kTileBlockBytes,
              static_cast<int>(rest < split.tokens ? rest : split.tokens), 0, panels, false,
              g.y + first * g.y_stride + p * kPanelRows, begin > 0);
        }
      }
    }
  }
}

template <class Arch, UnpackE4m3Fn kUnpack>
void gemm_e4m3(const GemmQ8& g) noexcept {
  if (g.token_count <= 0) return;
  constexpr Format kFormat = Format::e4m3;
  const TileSplit split = split_tiles(g.token_count, most_tile_tokens<Arch, kFormat>());
  if (split.count == 1 && split.width == 1)
    return tiles_of_width<Arch, kFormat, 1>(g, split, g.panel_begin, g.panel_end);
  if (split.count == 1 && split.width == 2)
    return tiles_of_width<Arch, kFormat, 2>(g, split, g.panel_begin, g.panel_end);
  switch (split.width) {
    case 2: return gemm_e4m3_unpacked<Arch, kUnpack, 2>(g, split);
    case 4: return gemm_e4m3_unpacked<Arch, kUnpack, 4>(g, split);
    case 6: return gemm_e4m3_unpacked<Arch, kUnpack, 6>(g, split);
    case 8: return gemm_e4m3_unpacked<Arch, kUnpack, 8>(g, split);
    case 10: return gemm_e4m3_unpacked<Arch, kUnpack, 10>(g, split);
    default: return gemm_e4m3_unpacked<Arch, kUnpack, 12>(g, split);
  }
}

/// What this CPU runs.
template <class Arch>
GemmQ8Fn e4m3_product() noexcept {
#ifdef __AVX512VNNI__
  if constexpr (Arch::kVnni)
    if (__builtin_cpu_supports("avx512vbmi")) return gemm_e4m3<Arch, unpack_e4m3_vbmi>;
#endif
  return gemm_e4m3<Arch, unpack_e4m3<Arch>>;
}

}  // namespace moe::inline MOE_ABI::kernels

#pragma once
// The matrix products of the scalar table: the functions of include/moe/detail/reference, one output at a time.

#include <cstring>

#include "kernels/packing.hpp"
#include "kernels/panel_layout.hpp"
#include "moe/detail/reference/gemm.hpp"

namespace moe::inline MOE_ABI::kernels {

/// A tile is one token's row: [k] codes, [k/32] scales, [k/32][2] int16 sums, then unused bytes.
template <class Arch>
void fill_q8_scalar(const FillQ8& f) noexcept {
  const auto k = static_cast<std::size_t>(f.x.k), blocks = k / kBlock;
  for (std::int64_t t = f.tile_begin; t < f.tile_end; ++t) {
    const std::int64_t token = f.token_index != nullptr ? f.token_index[t] : t;
    std::byte* out = f.out + static_cast<std::size_t>(t) * blocks * kTileBlockBytes;
    std::memcpy(out, f.x.codes + token * f.x.k, k);
    std::memcpy(out + k, f.x.scales + token * f.x.k / kBlock, 4 * blocks);
    std::memcpy(out + k + 4 * blocks, f.x.sums + token * f.x.k / kBlock * 2, 4 * blocks);
  }
}

template <class Arch, Format kFormat>
void gemm_q8_scalar(const GemmQ8& g) noexcept {
  const std::int64_t blocks = g.w.k / kBlock;
  for (std::int64_t row = g.panel_begin * kPanelRows; row < g.panel_end * kPanelRows && row < g.w.rows; ++row) {
    const std::byte* panel = g.w.data + row / kPanelRows * g.w.panel_bytes;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const reference::WeightBlock w = read_panel_block(kFormat, panel, static_cast<int>(row % kPanelRows), b);
      for (std::int64_t t = 0; t < g.token_count; ++t) {
        const std::byte* tile = g.tiles + t * blocks * kTileBlockBytes;
        std::int8_t codes[kBlock];
        float scale;
        std::int16_t sums[2];
        std::memcpy(codes, tile + kBlock * b, sizeof codes);
        std::memcpy(&scale, tile + g.w.k + 4 * b, sizeof scale);
        std::memcpy(sums, tile + g.w.k + 4 * blocks + 4 * b, sizeof sums);
        float* y = g.y + t * g.y_stride + row;
        const float acc = b == 0 ? 0.0f : *y;
        if constexpr (kFormat == Format::e4m3) {
          const PanelScale of_row = read_panel_scale(kFormat, g.w, row, kBlock * b);
          std::uint8_t integers[kBlock];
          const auto* stored = reinterpret_cast<const std::byte*>(w.codes);
          reference::e4m3_block(stored, 18, integers);
          const float d = of_row.scale * reference::e4m3_unit(w.d - kE4m3Header);
          *y = reference::add_scaled_block(acc, integers, d, 128, codes, scale);
        } else if constexpr (is_scaled_format(kFormat)) {
          const PanelScale of_row = read_panel_scale(kFormat, g.w, row, kBlock * b);
          *y = reference::add_scaled_block(acc, w.codes, of_row.scale, of_row.zero, codes, scale);
        } else {
          *y = reference::add_block(kFormat, acc, w, codes, scale, sums);
        }
      }
    }
  }
}

template <class Arch, Format kFormat>
void gemm_f32_scalar(const GemmF32& g) noexcept {
  for (std::int64_t row = g.panel_begin * kPanelRows; row < g.panel_end * kPanelRows && row < g.w.rows; ++row) {
    unpack_row(kFormat, g.w, row, g.scratch);
    for (std::int64_t t = 0; t < g.token_count; ++t) {
      const std::int64_t token = g.token_index != nullptr ? g.token_index[t] : t;
      g.y[t * g.y_stride + row] = reference::dot_f32(g.scratch, g.w.k, g.x + token * g.x_stride);
    }
  }
}

}  // namespace moe::inline MOE_ABI::kernels

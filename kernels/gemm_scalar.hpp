#pragma once
// The matrix products of the scalar table: the functions of include/moe/reference, one output at a time.

#include "kernels/packing.hpp"
#include "kernels/panel_layout.hpp"
#include "moe/reference/gemm.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch, Format kFormat>
void gemm_q8_scalar(const GemmQ8& g) noexcept {
  for (std::int64_t row = g.panel_begin * kPanelRows; row < g.panel_end * kPanelRows && row < g.w.rows; ++row) {
    const std::byte* panel = g.w.data + row / kPanelRows * g.w.panel_bytes;
    for (std::int64_t b = 0; b < g.w.k / kBlock; ++b) {
      const reference::WeightBlock w = read_panel_block(kFormat, panel, static_cast<int>(row % kPanelRows), b);
      for (std::int64_t t = 0; t < g.token_count; ++t) {
        const std::int64_t token = g.token_index != nullptr ? g.token_index[t] : t;
        const std::int64_t at = token * (g.x.k / kBlock) + b;
        float* y = g.y + t * g.y_stride + row;
        *y = reference::add_block(kFormat, b == 0 ? 0.0f : *y, w, g.x.codes + kBlock * at, g.x.scales[at],
                                  g.x.sums + 2 * at);
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

#pragma once
// y[t, r] = sum_k W[r, k] * x[t, k] with float32 activations, every weight widened exactly; one chain in rising k.
//
// f32, f16 and bf16 panels are widened in registers. All other formats are widened piece by piece into the worker's
// scratch, four panels at a time, and then multiplied as f32: the cost is shared by all tokens of the call.

#include <cstring>

#include "kernels/panel_codes.hpp"
#include "kernels/table.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Values of k per piece: 256 is a whole super-block of any format, and 12 rows of it stay in L1.
inline constexpr int kStretchF32 = 256;
/// Floats between rows of the activation tile: 16 more than the piece, so that rows map to different cache sets.
inline constexpr int kRowF32 = kStretchF32 + 16;
inline constexpr int kScratchPanels = 4;
/// Panels that share one filled activation tile.
inline constexpr std::int64_t kGroupPanelsF32 = 32;

/// Moves a tile of y between the caller's matrix, where the last panel is narrower, and [kTokens][16].
template <class Arch, int kTokens>
void load_chains(const GemmF32& g, std::int64_t token_begin, int token_count, std::int64_t panel, bool first,
                 float* y) noexcept {
  if (first || token_count < kTokens) std::memset(y, 0, sizeof(float) * kPanelRows * kTokens);
  if (first) return;
  const std::int64_t row = panel * kPanelRows;
  const std::int64_t width = g.w.rows - row < kPanelRows ? g.w.rows - row : kPanelRows;
  for (int t = 0; t < token_count; ++t)
    std::memcpy(y + kPanelRows * t, g.y + (token_begin + t) * g.y_stride + row,
                static_cast<std::size_t>(width) * sizeof(float));
}
template <class Arch>
void store_chains(const GemmF32& g, std::int64_t token_begin, int token_count, std::int64_t panel,
                  const float* y) noexcept {
  const std::int64_t row = panel * kPanelRows;
  const std::int64_t width = g.w.rows - row < kPanelRows ? g.w.rows - row : kPanelRows;
  for (int t = 0; t < token_count; ++t)
    std::memcpy(g.y + (token_begin + t) * g.y_stride + row, y + kPanelRows * t,
                static_cast<std::size_t>(width) * sizeof(float));
}

template <class Arch, Format kFormat>
MOE_FORCE_INLINE typename Vector<Arch>::F load_weights(const std::byte* p, std::int64_t at) {
  using V = Vector<Arch>;
  if constexpr (kFormat == Format::f16) {
    return V::load_f16(p + 2 * at);
  } else if constexpr (kFormat == Format::bf16) {
    return V::load_bf16(p + 2 * at);
  } else {
    return V::loadf(reinterpret_cast<const float*>(p) + at);
  }
}

/// Continues the chains y[kPanels][kTokens][16] over `count` values; w[p] points at panel p's values.
template <class Arch, Format kFormat, int kTokens, int kPanels>
void tile_f32(const std::byte* const (&w)[kPanels], std::int64_t count, const float* x, float* y) noexcept {
  using V = Vector<Arch>;
  constexpr int kParts = kPanelRows / V::kLanes;
  typename V::F acc[kPanels * kParts][kTokens];
#pragma GCC unroll 8
  for (int p = 0; p < kPanels * kParts; ++p)
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t)
      acc[p][t] = V::loadf(y + (p / kParts * kTokens + t) * kPanelRows + p % kParts * V::kLanes);
  for (std::int64_t k = 0; k < count; ++k) {
    typename V::F weights[kPanels * kParts];
#pragma GCC unroll 8
    for (int p = 0; p < kPanels * kParts; ++p)
      weights[p] = load_weights<Arch, kFormat>(w[p / kParts], k * kPanelRows + p % kParts * V::kLanes);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const typename V::F a = V::setf(x[t * kRowF32 + k]);
#pragma GCC unroll 8
      for (int p = 0; p < kPanels * kParts; ++p) acc[p][t] = V::fma(weights[p], a, acc[p][t]);
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < kPanels * kParts; ++p)
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t)
      V::storef(y + (p / kParts * kTokens + t) * kPanelRows + p % kParts * V::kLanes, acc[p][t]);
}

/// One piece of work: `count` values of k from k_begin, of panels [panel_begin, panel_end).
struct StretchF32 {
  std::int64_t panel_begin, panel_end, k_begin, count;
};

template <class Arch, Format kFormat, int kTokens, int kPanels>
void panels_f32(const GemmF32& g, const StretchF32& s, const std::byte* w, std::int64_t panel_bytes,
                std::int64_t token_begin, int token_count, std::int64_t panel, const float* x) noexcept {
  alignas(64) float y[kPanels * kTokens * kPanelRows];
  const std::byte* at[kPanels];
  for (int i = 0; i < kPanels; ++i) {
    at[i] = w + (panel - s.panel_begin + i) * panel_bytes;
    load_chains<Arch, kTokens>(g, token_begin, token_count, panel + i, s.k_begin == 0, y + i * kTokens * kPanelRows);
  }
  tile_f32<Arch, kFormat, kTokens, kPanels>(at, s.count, x, y);
  for (int i = 0; i < kPanels; ++i)
    store_chains<Arch>(g, token_begin, token_count, panel + i, y + i * kTokens * kPanelRows);
}

/// kFormat is the format of the weights at `w`: f32 when they were widened into scratch.
template <class Arch, Format kFormat, int kTokens, int kPanels>
void tile_over_panels_f32(const GemmF32& g, const StretchF32& s, const std::byte* w, std::int64_t panel_bytes,
                          std::int64_t token_begin, int token_count) noexcept {
  alignas(64) float x[kTokens * kRowF32];
  for (int t = 0; t < kTokens; ++t) {
    std::int64_t token = token_begin + (t < token_count ? t : token_count - 1);
    if (g.token_index != nullptr) token = g.token_index[token];
    std::memcpy(x + t * kRowF32, g.x + token * g.x_stride + s.k_begin,
                static_cast<std::size_t>(s.count) * sizeof(float));
  }
  std::int64_t p = s.panel_begin;
  for (; s.panel_end - p >= kPanels; p += kPanels)
    panels_f32<Arch, kFormat, kTokens, kPanels>(g, s, w, panel_bytes, token_begin, token_count, p, x);
  for (; p < s.panel_end; ++p)
    panels_f32<Arch, kFormat, kTokens, 1>(g, s, w, panel_bytes, token_begin, token_count, p, x);
}

/// Of a tile. Four cycles of fma latency times two ports need at least 8 chains; 12 accumulators leave registers for
/// weights.
template <class Arch>
constexpr int most_tokens_f32() {
  return Vector<Arch>::kLanes == 16 ? 12 : 6;
}

template <class Arch, Format kFormat>
void stretch_f32(const GemmF32& g, const StretchF32& s, const std::byte* w, std::int64_t panel_bytes) noexcept {
  constexpr bool kWide = Vector<Arch>::kLanes == 16;
  constexpr int kMost = most_tokens_f32<Arch>();
  const std::int64_t tile_count = (g.token_count + kMost - 1) / kMost;
  const std::int64_t size = (g.token_count + tile_count - 1) / tile_count;
  for (std::int64_t t = 0; t < g.token_count; t += size) {
    const int n = static_cast<int>(g.token_count - t < size ? g.token_count - t : size);
    if (n == 1) {
      tile_over_panels_f32<Arch, kFormat, 1, 4>(g, s, w, panel_bytes, t, n);
    } else if (n == 2) {
      tile_over_panels_f32<Arch, kFormat, 2, kWide ? 4 : 2>(g, s, w, panel_bytes, t, n);
    } else if (n <= 4) {
      tile_over_panels_f32<Arch, kFormat, 4, kWide ? 2 : 1>(g, s, w, panel_bytes, t, n);
    } else if (n <= 6) {
      tile_over_panels_f32<Arch, kFormat, 6, kWide ? 2 : 1>(g, s, w, panel_bytes, t, n);
    } else if constexpr (kWide) {
      if (n <= 8) {
        tile_over_panels_f32<Arch, kFormat, 8, 1>(g, s, w, panel_bytes, t, n);
      } else {
        tile_over_panels_f32<Arch, kFormat, 12, 1>(g, s, w, panel_bytes, t, n);
      }
    }
  }
}

template <class Arch, Format kFormat>
void gemm_f32_direct(const GemmF32& g) noexcept {
  constexpr std::int64_t kBytes = kFormat == Format::f32 ? 4 : 2;
  for (std::int64_t p = g.panel_begin; p < g.panel_end; p += kGroupPanelsF32) {
    StretchF32 s{p, p + kGroupPanelsF32 < g.panel_end ? p + kGroupPanelsF32 : g.panel_end, 0, 0};
    for (s.k_begin = 0; s.k_begin < g.w.k; s.k_begin += kStretchF32) {
      s.count = g.w.k - s.k_begin < kStretchF32 ? g.w.k - s.k_begin : kStretchF32;
      const std::byte* w = g.w.data + p * g.w.panel_bytes + s.k_begin * kPanelRows * kBytes;
      stretch_f32<Arch, kFormat>(g, s, w, g.w.panel_bytes);
    }
  }
}

template <class Arch, Format kFormat>
void gemm_f32_widened(const GemmF32& g) noexcept {
  constexpr std::int64_t kPanelFloats = kStretchF32 * kPanelRows;
  for (std::int64_t p = g.panel_begin; p < g.panel_end; p += kScratchPanels) {
    StretchF32 s{p, p + kScratchPanels < g.panel_end ? p + kScratchPanels : g.panel_end, 0, 0};
    for (s.k_begin = 0; s.k_begin < g.w.k; s.k_begin += kStretchF32) {
      s.count = g.w.k - s.k_begin < kStretchF32 ? g.w.k - s.k_begin : kStretchF32;
      for (std::int64_t i = s.panel_begin; i < s.panel_end; ++i) {
        const std::byte* panel = g.w.data + i * g.w.panel_bytes;
        float* out = g.scratch + (i - p) * kPanelFloats;
        if constexpr (kFormat == Format::e4m3) {
          widen_e4m3<Arch>(panel, g.w, s.k_begin, s.count, out);
        } else if constexpr (is_scaled_format(kFormat)) {
          widen_groups<Arch, kFormat>(panel, g.w, s.k_begin / kBlock, (s.k_begin + s.count) / kBlock, out);
        } else if constexpr (reference::is_integer_format(kFormat)) {
          widen_panel<Arch, kFormat>(panel, s.k_begin / kBlock, (s.k_begin + s.count) / kBlock, out);
        } else {
          widen_raw(kFormat, panel, g.w.k, s.k_begin, s.count, out);
        }
      }
      stretch_f32<Arch, Format::f32>(g, s, reinterpret_cast<const std::byte*>(g.scratch), kPanelFloats * 4);
    }
  }
}

template <class Arch, Format kFormat>
void gemm_f32(const GemmF32& g) noexcept {
  if (g.token_count <= 0) return;
  if constexpr (kFormat == Format::f32 || kFormat == Format::f16 || kFormat == Format::bf16) {
    gemm_f32_direct<Arch, kFormat>(g);
  } else {
    gemm_f32_widened<Arch, kFormat>(g);
  }
}

}  // namespace moe::inline MOE_ABI::kernels

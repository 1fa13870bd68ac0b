#pragma once
// KernelTable: the interface between the blocks (src/model) and the SIMD code. Plain pointers and integers only;
// no threads, files, allocation or exceptions. One table per instruction set; dispatch chooses once.
//
// Packed weights: a matrix [rows, k] is split into panels of 16 rows, the SIMD lanes. A panel contains whole
// rows. Rows past the end are packed as zeros. One layout per format, the same for every instruction set
// (kernels/packing.hpp), so a packed matrix serves any table and any number of tokens.

#include <cstddef>
#include <cstdint>

#include "moe/detail/attention.hpp"
#include "moe/detail/indexer.hpp"
#include "moe/detail/recurrent.hpp"
#include "moe/detail/reference/scaled_row.hpp"
#include "moe/formats.hpp"

namespace moe::inline MOE_ABI::kernels {

inline constexpr int kPanelRows = 16;
inline constexpr int kBlock = 32;  // activation block of q8g32, in values

using reference::Groups;

/// A packed matrix. `panel_bytes` separates panels.
struct Panels {
  const std::byte* data = nullptr;
  std::int64_t panel_bytes = 0;
  std::int64_t rows = 0;  ///< real rows; the last panel may be partly padding
  std::int64_t k = 0;     ///< input width
  Groups groups = {};     ///< of scaled formats
};

/// Activations as q8g32: int8 codes [T, k], float scales [T, k/32], half-block sums int16 [T, k/32, 2].
/// Row t starts at codes + t * k, scales + t * (k / 32), sums + t * (k / 16).
struct Q8Rows {
  const std::int8_t* codes = nullptr;
  const float* scales = nullptr;
  const std::int16_t* sums = nullptr;
  std::int64_t k = 0;
};

/// How tokens are split into tiles: `count` tiles of `tokens` (the last may have fewer), each stored `width` wide.
struct TileSplit {
  std::int64_t count = 0;
  int tokens = 0, width = 0;
};
/// Tiles of nearly equal size, at most `most` wide: 13 tokens are 7 + 6, not 12 + 1. Widths are 1 or even.
MOE_FORCE_INLINE constexpr TileSplit split_tiles(std::int64_t token_count, int most) noexcept {
  TileSplit s;
  s.count = (token_count + most - 1) / most;
  s.tokens = s.count == 0 ? 0 : static_cast<int>((token_count + s.count - 1) / s.count);
  s.width = s.tokens <= 1 ? s.tokens : (s.tokens + 1) / 2 * 2;
  return s;
}
/// Bytes per token and block of 32 values in a tile: 32 codes, a scale and two sums.
inline constexpr std::int64_t kTileBlockBytes = 44;
/// Bytes of the tiles of `token_count` tokens of width k.
constexpr std::int64_t tiles_bytes(std::int64_t token_count, int most, std::int64_t k) noexcept {
  const TileSplit s = split_tiles(token_count, most);
  return s.count * s.width * (k / kBlock) * kTileBlockBytes;
}

/// Tokens token(t) = token_index ? token_index[t] : t of x, as the tiles that gemm_q8 of the same format reads. `most`
/// is the format's entry of q8_tile_tokens; tiles [tile_begin, tile_end) of split_tiles(token_count, most) are written.
struct FillQ8 {
  Q8Rows x;
  const std::int32_t* token_index = nullptr;
  std::int64_t token_count = 0;
  int most = 0;
  std::int64_t tile_begin = 0, tile_end = 0;
  std::byte* out = nullptr;  ///< tiles_bytes(token_count, most, x.k)
};
using FillQ8Fn = void (*)(const FillQ8&) noexcept;

/// y[t, r] = W[r, :] . x[t, :] for the rows of panels [panel_begin, panel_end); x as filled tiles.
/// y row t starts at y + t * y_stride.
struct GemmQ8 {
  Panels w;
  const std::byte* tiles = nullptr;
  std::int64_t token_count = 0;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  std::int64_t panel_begin = 0, panel_end = 0;
  const std::byte* next = nullptr;  ///< panels of the same format and size to prefetch at the end
};
using GemmQ8Fn = void (*)(const GemmQ8&) noexcept;

/// The same with float32 activations, weights widened exactly: the reference precision, and float formats in any
/// precision. `scratch` holds gemm_f32_scratch(format, k) floats of the calling worker (null when that is 0).
struct GemmF32 {
  Panels w;
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  const std::int32_t* token_index = nullptr;
  std::int64_t token_count = 0;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  std::int64_t panel_begin = 0, panel_end = 0;
  float* scratch = nullptr;
};
using GemmF32Fn = void (*)(const GemmF32&) noexcept;

using moe::Attention;
using moe::CacheRow;
using moe::CausalConv;
using moe::IndexScores;
using moe::kKeyBlock;
using moe::StateSteps;

struct KernelTable {
  const char* isa;  ///< "scalar", "avx2", "avx512", "avx512vnni", "amx", "neon"

  /// Indexed by Format. gemm_q8 is null for formats whose contract is the float path; it takes groups in order only.
  GemmQ8Fn gemm_q8[64];
  FillQ8Fn fill_q8[64];
  int q8_tile_tokens[64];  ///< most tokens of a tile
  GemmF32Fn gemm_f32[64];

  /// x [k] -> codes [k], scales [k/32], sums [k/16]. k % 32 == 0.
  void (*quantize_q8)(const float* x, std::int64_t k, std::int8_t* codes, float* scales, std::int16_t* sums) noexcept;
  /// y = x * (1 / sqrt(mean(x^2) + eps)) * w; x and y may be the same.
  void (*rms_norm)(const float* x, const float* w, float eps, std::int64_t n, float* y) noexcept;
  /// y = (x - mean) * (1 / sqrt(variance + eps)) * w + b; x and y may be the same.
  void (*layer_norm)(const float* x, const float* w, const float* b, float eps, std::int64_t n, float* y) noexcept;
  /// y = silu(gate) * up; y may be gate.
  void (*silu_mul)(const float* gate, const float* up, std::int64_t n, float* y) noexcept;
  /// y = gelu(gate) * up (tanh form); y may be gate.
  void (*gelu_mul)(const float* gate, const float* up, std::int64_t n, float* y) noexcept;
  /// gpt-oss: detail/reference/activation.hpp has the formula; y may be gate.
  void (*swiglu_clamped)(const float* gate, const float* up, float alpha, float limit, std::int64_t n,
                         float* y) noexcept;
  void (*sigmoid)(const float* x, std::int64_t n, float* y) noexcept;
  void (*sigmoid_mul)(const float* gate, const float* x, std::int64_t n, float* y) noexcept;  // y = sigmoid(gate) * x
  void (*relu_square)(const float* x, std::int64_t n, float* y) noexcept;                     // y = max(x, 0)^2
  /// y = cap * tanh(x / cap); y may be x.
  void (*soft_cap)(const float* x, float cap, std::int64_t n, float* y) noexcept;
  void (*softmax)(const float* x, std::int64_t n, float* y) noexcept;
  void (*add)(const float* x, std::int64_t n, float* y) noexcept;            // y += x
  void (*axpy)(float w, const float* x, std::int64_t n, float* y) noexcept;  // y = fma(w, x, y)
  /// Rotates pairs of x [2 * pair_count] in place; cos, sin [pair_count]. half_split pairs (i, i + pair_count).
  void (*rope_half)(const float* cos, const float* sin, std::int64_t pair_count, float* x) noexcept;
  void (*rope_interleaved)(const float* cos, const float* sin, std::int64_t pair_count, float* x) noexcept;
  /// Rounds a row to the cache's type.
  void (*store_cache)(const CacheRow&) noexcept;
  void (*attention_gqa)(const Attention&) noexcept;
  void (*attention_mla)(const Attention&) noexcept;
  void (*index_scores)(const IndexScores&) noexcept;
  void (*causal_conv)(const CausalConv&) noexcept;
  void (*state_steps)(const StateSteps&) noexcept;
};

/// Floats of worker scratch that the functions above need; the same for every table.
std::int64_t gemm_f32_scratch(Format format, std::int64_t k) noexcept;
std::int64_t attention_scratch(std::int64_t key_dim, std::int64_t value_dim) noexcept;
std::int64_t index_scratch(std::int64_t dim) noexcept;

template <class Arch>
const KernelTable& table_for() noexcept;

/// Tables this CPU and operating system can run (CPUID and XGETBV), slowest first; `count` is set.
const KernelTable* const* runnable_tables(int& count) noexcept;
/// The table of that name, or null when it is unknown or cannot run here.
const KernelTable* find_table(const char* isa) noexcept;
/// The fastest runnable table, or the one MOE_ISA names; null when MOE_ISA names one that cannot run here.
const KernelTable* active_table() noexcept;

}  // namespace moe::inline MOE_ABI::kernels

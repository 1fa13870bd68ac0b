#pragma once
// The lightning indexer of DeepSeek sparse attention: the definition of its bits (docs/NUMERICS.md).

#include <cstdint>

#include "moe/detail/indexer.hpp"
#include "moe/detail/math.hpp"
#include "moe/detail/reference/cache.hpp"

namespace moe::inline MOE_ABI::reference {

/// y = (x - mean) * (1 / sqrt(mean((x - mean)^2) + eps)) * w + b.
///
///   x, w, b, y  [n]  n > 0; y may be x
///
/// Accuracy  same bits on every ISA: both sums as p[i % 16] in rising i, tree 8, 4, 2, 1; the last step is one fma
inline void layer_norm(const float* x, const float* w, const float* b, float eps, std::int64_t n, float* y) noexcept {
  float p[16] = {}, squares[16] = {};
  for (std::int64_t i = 0; i < n; ++i) p[i % 16] = p[i % 16] + x[i];
  const float mean = detail::tree_sum(p) / static_cast<float>(n);
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = x[i] - mean;
    squares[i % 16] = detail::fma(y[i], y[i], squares[i % 16]);
  }
  const float r = 1.0f / __builtin_sqrtf(detail::tree_sum(squares) / static_cast<float>(n) + eps);
  for (std::int64_t i = 0; i < n; ++i) y[i] = detail::fma(y[i] * r, w[i], b[i]);
}

/// Scores of all keys for each query.
///
/// Accuracy  same bits on every ISA and for any grouping of queries: per head a chain over d, times scale, relu; then a
///           chain over heads from +0
/// Source    DeepSeek-V3.2-Exp report, eq. 1
inline void index_scores(const IndexScores& a) noexcept {
  for (std::int64_t i = 0; i < a.query_count; ++i)
    for (std::int64_t position = 0; position < a.key_count; ++position) {
      const void* block = a.key_blocks[position / kKeyBlock];
      float sum = 0.0f;
      for (std::int64_t h = 0; h < a.head_count; ++h) {
        const float* q = a.q + i * a.q_stride + h * a.dim;
        float s = 0.0f;
        for (std::int64_t d = 0; d < a.dim; ++d)
          s = detail::fma(q[d], load_cache(a.key_type, CacheOrder::columns, block, a.dim, position % kKeyBlock, d), s);
        s = s * a.scale;
        sum = detail::fma(a.weights[i * a.weight_stride + h], s > 0.0f ? s : 0.0f, sum);
      }
      a.out[i * a.out_stride + position] = sum;
    }
}

}  // namespace moe::inline MOE_ABI::reference

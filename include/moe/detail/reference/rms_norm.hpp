#pragma once
// RMSNorm, one row.

#include <cstdint>

#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI::reference {

/// y = x * (1 / sqrt(mean(x^2) + eps)) * w.
///
///   x, w, y  [n]  n > 0; y may be x
///
/// Accuracy  same bits on every ISA: p[i % 16] = fma(x, x, p[i % 16]), tree 8, 4, 2, 1, IEEE square root and division
inline void rms_norm(const float* x, const float* w, float eps, std::int64_t n, float* y) noexcept {
  float p[16] = {};
  for (std::int64_t i = 0; i < n; ++i) p[i % 16] = detail::fma(x[i], x[i], p[i % 16]);
  const float mean = detail::tree_sum(p) / static_cast<float>(n);
  const float r = 1.0f / __builtin_sqrtf(mean + eps);
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] * r * w[i];
}

}  // namespace moe::inline MOE_ABI::reference

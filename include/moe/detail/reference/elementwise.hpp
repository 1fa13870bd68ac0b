#pragma once
// Sums of rows.

#include <cstdint>

#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI::reference {

/// y += x
inline void add(const float* x, std::int64_t n, float* y) noexcept {
  for (std::int64_t i = 0; i < n; ++i) y[i] = y[i] + x[i];
}

/// y = fma(w, x, y): an expert's output into the residual stream.
inline void axpy(float w, const float* x, std::int64_t n, float* y) noexcept {
  for (std::int64_t i = 0; i < n; ++i) y[i] = detail::fma(w, x[i], y[i]);
}

}  // namespace moe::inline MOE_ABI::reference

#pragma once
// Activation functions over a row.

#include <cstdint>

#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI::reference {

/// y = silu(gate) * up; y may be gate or up.
inline void silu_mul(const float* gate, const float* up, std::int64_t n, float* y) noexcept {
  for (std::int64_t i = 0; i < n; ++i) y[i] = detail::silu(gate[i]) * up[i];
}

/// y = 1 / (1 + exp(-x)); y may be x.
inline void sigmoid(const float* x, std::int64_t n, float* y) noexcept {
  for (std::int64_t i = 0; i < n; ++i) y[i] = detail::sigmoid(x[i]);
}

}  // namespace moe::inline MOE_ABI::reference

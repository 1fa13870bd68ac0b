#pragma once
// Rotates pairs of a query or key by a position's angles (moe/rope.hpp makes cos and sin).
// Force-inlined: kernels/rope.hpp compiles this code for each instruction set.

#include <cstdint>

#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI::reference {

/// Pairs (i, i + pair_count) of x [2 * pair_count], in place.
MOE_FORCE_INLINE void rope_half(const float* cos, const float* sin, std::int64_t pair_count, float* x) noexcept {
  for (std::int64_t i = 0; i < pair_count; ++i) {
    const float a = x[i], b = x[i + pair_count];
    x[i] = detail::fma(a, cos[i], -(b * sin[i]));
    x[i + pair_count] = detail::fma(b, cos[i], a * sin[i]);
  }
}

/// Pairs (2i, 2i + 1) of x [2 * pair_count], in place.
MOE_FORCE_INLINE void rope_interleaved(const float* cos, const float* sin, std::int64_t pair_count, float* x) noexcept {
  for (std::int64_t i = 0; i < pair_count; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = detail::fma(a, cos[i], -(b * sin[i]));
    x[2 * i + 1] = detail::fma(b, cos[i], a * sin[i]);
  }
}

}  // namespace moe::inline MOE_ABI::reference

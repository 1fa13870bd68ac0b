#pragma once
// Softmax of a row.

#include <cstdint>

#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI::reference {

/// y = exp(x - max) / sum, n > 0; y may be x. Sum: 16 partial sums p[i % 16] in rising i, then the tree 8, 4, 2, 1.
inline void softmax(const float* x, std::int64_t n, float* y) noexcept { detail::softmax(x, n, y); }

}  // namespace moe::inline MOE_ABI::reference

#pragma once
// RoPE: the reference's loops, vectorised by the compiler for the unit's instruction set. A head has 32..64 pairs;
// hand-written shuffles would gain nothing measurable.

#include <cstdint>

#include "moe/detail/reference/rope.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
void rope_half(const float* cos, const float* sin, std::int64_t pair_count, float* x) noexcept {
  reference::rope_half(cos, sin, pair_count, x);
}
template <class Arch>
void rope_interleaved(const float* cos, const float* sin, std::int64_t pair_count, float* x) noexcept {
  reference::rope_interleaved(cos, sin, pair_count, x);
}

}  // namespace moe::inline MOE_ABI::kernels

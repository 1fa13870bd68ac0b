#pragma once
// y += x and y = fma(w, x, y) over a row.

#include <cstdint>

#include "kernels/lanes_math.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
void add_rows(const float* x, std::int64_t n, float* y) noexcept {
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    store_up_to<Arch>(y + i, count, add<Arch>(load_up_to<Arch>(y + i, count), load_up_to<Arch>(x + i, count)));
  });
}

template <class Arch>
void axpy(float w, const float* x, std::int64_t n, float* y) noexcept {
  const Lanes<float, Arch> weight = broadcast<Arch>(w);
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    store_up_to<Arch>(y + i, count, fma<Arch>(weight, load_up_to<Arch>(x + i, count), load_up_to<Arch>(y + i, count)));
  });
}

}  // namespace moe::inline MOE_ABI::kernels

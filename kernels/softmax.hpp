#pragma once
// y = exp(x - max) / sum over a row of n > 0 values; y may be x.

#include <cstdint>
#include <limits>

#include "kernels/lanes_math.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
void softmax(const float* x, std::int64_t n, float* y) noexcept {
  constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();  // exp of it adds +0 to the sum
  Lanes<float, Arch> high = broadcast<Arch>(kMinusInfinity);
  for_lanes(n, [&](std::int64_t i, std::int64_t count)
                   MOE_INLINE_LAMBDA { high = max<Arch>(high, load_up_to<Arch>(x + i, count, kMinusInfinity)); });
  const Lanes<float, Arch> m = broadcast<Arch>(largest<Arch>(high));
  Lanes<float, Arch> partial = broadcast<Arch>(0.0f);
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    const Lanes<float, Arch> e = exp<Arch>(sub<Arch>(load_up_to<Arch>(x + i, count, kMinusInfinity), m));
    partial = add<Arch>(partial, e);
    store_up_to<Arch>(y + i, count, e);
  });
  const Lanes<float, Arch> sum = broadcast<Arch>(tree_sum<Arch>(partial));
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    store_up_to<Arch>(y + i, count, div<Arch>(load_up_to<Arch>(y + i, count), sum));
  });
}

}  // namespace moe::inline MOE_ABI::kernels

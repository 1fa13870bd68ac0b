#pragma once
// y = x * (1 / sqrt(mean(x^2) + eps)) * w over one row of n values; y may be x.

#include <cstdint>

#include "kernels/lanes_math.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
void rms_norm(const float* x, const float* w, float eps, std::int64_t n, float* y) noexcept {
  Lanes<float, Arch> sum = broadcast<Arch>(0.0f);  // lane i holds p[i % 16]; a tail of zeros adds nothing
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    const Lanes<float, Arch> v = load_up_to<Arch>(x + i, count);
    sum = fma<Arch>(v, v, sum);
  });
  const float mean = tree_sum<Arch>(sum) / static_cast<float>(n);
  const Lanes<float, Arch> r = broadcast<Arch>(1.0f / __builtin_sqrtf(mean + eps));
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    const Lanes<float, Arch> v = mul<Arch>(load_up_to<Arch>(x + i, count), r);
    store_up_to<Arch>(y + i, count, mul<Arch>(v, load_up_to<Arch>(w + i, count)));
  });
}

}  // namespace moe::inline MOE_ABI::kernels

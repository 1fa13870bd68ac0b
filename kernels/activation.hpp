#pragma once
// silu(gate) * up and sigmoid over a row; results may overwrite inputs.

#include <cstdint>

#include "kernels/lanes_math.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
void silu_mul(const float* gate, const float* up, std::int64_t n, float* y) noexcept {
  for_lanes(n, [&](std::int64_t i, std::int64_t count) {
    const Lanes<float, Arch> g = load_up_to<Arch>(gate + i, count);
    const Lanes<float, Arch> silu = div<Arch>(g, one_plus_exp_minus<Arch>(g));
    store_up_to<Arch>(y + i, count, mul<Arch>(silu, load_up_to<Arch>(up + i, count)));
  });
}

template <class Arch>
void sigmoid(const float* x, std::int64_t n, float* y) noexcept {
  for_lanes(n, [&](std::int64_t i, std::int64_t count) {
    const Lanes<float, Arch> v = load_up_to<Arch>(x + i, count);
    store_up_to<Arch>(y + i, count, div<Arch>(broadcast<Arch>(1.0f), one_plus_exp_minus<Arch>(v)));
  });
}

}  // namespace moe::inline MOE_ABI::kernels

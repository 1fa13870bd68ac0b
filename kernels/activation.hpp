#pragma once
// silu(gate) * up, gelu(gate) * up, gpt-oss's clamped form, sigmoid and soft-capping over a row; results may overwrite
// inputs.

#include <cstdint>

#include "kernels/lanes_math.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
void silu_mul(const float* gate, const float* up, std::int64_t n, float* y) noexcept {
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    const Lanes<float, Arch> g = load_up_to<Arch>(gate + i, count);
    const Lanes<float, Arch> silu = div<Arch>(g, one_plus_exp_minus<Arch>(g));
    store_up_to<Arch>(y + i, count, mul<Arch>(silu, load_up_to<Arch>(up + i, count)));
  });
}

template <class Arch>
void gelu_mul(const float* gate, const float* up, std::int64_t n, float* y) noexcept {
  const Lanes<float, Arch> cubic = broadcast<Arch>(detail::GeluF32::kCubic);
  const Lanes<float, Arch> linear = broadcast<Arch>(detail::GeluF32::kLinear);
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    const Lanes<float, Arch> g = load_up_to<Arch>(gate + i, count);
    const Lanes<float, Arch> u = mul<Arch>(g, fma<Arch>(mul<Arch>(g, g), cubic, linear));
    store_up_to<Arch>(y + i, count,
                      mul<Arch>(div<Arch>(g, one_plus_exp_minus<Arch>(u)), load_up_to<Arch>(up + i, count)));
  });
}

template <class Arch>
void swiglu_clamped(const float* gate, const float* up, float alpha, float limit, std::int64_t n, float* y) noexcept {
  const Lanes<float, Arch> high = broadcast<Arch>(limit), low = broadcast<Arch>(-limit);
  const Lanes<float, Arch> gain = broadcast<Arch>(alpha), one = broadcast<Arch>(1.0f);
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    const Lanes<float, Arch> g = min<Arch>(high, load_up_to<Arch>(gate + i, count));
    const Lanes<float, Arch> u = max<Arch>(low, min<Arch>(high, load_up_to<Arch>(up + i, count)));
    const Lanes<float, Arch> glu = div<Arch>(g, one_plus_exp_minus<Arch>(mul<Arch>(gain, g)));
    store_up_to<Arch>(y + i, count, mul<Arch>(add<Arch>(u, one), glu));
  });
}

template <class Arch>
void sigmoid(const float* x, std::int64_t n, float* y) noexcept {
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    const Lanes<float, Arch> v = load_up_to<Arch>(x + i, count);
    store_up_to<Arch>(y + i, count, div<Arch>(broadcast<Arch>(1.0f), one_plus_exp_minus<Arch>(v)));
  });
}

template <class Arch>
void sigmoid_mul(const float* gate, const float* x, std::int64_t n, float* y) noexcept {
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    const Lanes<float, Arch> g = load_up_to<Arch>(gate + i, count);
    const Lanes<float, Arch> weight = div<Arch>(broadcast<Arch>(1.0f), one_plus_exp_minus<Arch>(g));
    store_up_to<Arch>(y + i, count, mul<Arch>(weight, load_up_to<Arch>(x + i, count)));
  });
}

template <class Arch>
void relu_square(const float* x, std::int64_t n, float* y) noexcept {
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    const Lanes<float, Arch> v = max<Arch>(load_up_to<Arch>(x + i, count), broadcast<Arch>(0.0f));
    store_up_to<Arch>(y + i, count, mul<Arch>(v, v));
  });
}

template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> soft_cap(const Lanes<float, Arch>& x, const detail::SoftCap& c) {
  const Lanes<float, Arch> growth = exp<Arch>(mul<Arch>(x, broadcast<Arch>(c.slope)));
  return sub<Arch>(broadcast<Arch>(c.cap),
                   div<Arch>(broadcast<Arch>(c.twice_cap), add<Arch>(broadcast<Arch>(1.0f), growth)));
}

template <class Arch>
void soft_cap(const float* x, float cap, std::int64_t n, float* y) noexcept {
  const detail::SoftCap c(cap);
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    store_up_to<Arch>(y + i, count, soft_cap<Arch>(load_up_to<Arch>(x + i, count), c));
  });
}

}  // namespace moe::inline MOE_ABI::kernels

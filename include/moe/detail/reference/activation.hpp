#pragma once
// Activation functions over a row.

#include <cstdint>

#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI::reference {

/// y = silu(gate) * up; y may be gate or up.
inline void silu_mul(const float* gate, const float* up, std::int64_t n, float* y) noexcept {
  for (std::int64_t i = 0; i < n; ++i) y[i] = detail::silu(gate[i]) * up[i];
}

/// y = gelu(gate) * up with the tanh form of GELU: x / (1 + exp(-2 u)), u = sqrt(2/pi) (x + 0.044715 x^3).
inline void gelu_mul(const float* gate, const float* up, std::int64_t n, float* y) noexcept {
  for (std::int64_t i = 0; i < n; ++i) y[i] = detail::gelu_tanh(gate[i]) * up[i];
}

/// y = (up' + 1) * gate' / (1 + exp(-alpha gate')), gate' = min(gate, limit), up' = up cut to [-limit, limit] (gpt-oss).
inline void swiglu_clamped(const float* gate, const float* up, float alpha, float limit, std::int64_t n,
                           float* y) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = limit < gate[i] ? limit : gate[i];  // false for NaN, which passes through
    float u = limit < up[i] ? limit : up[i];
    u = -limit > u ? -limit : u;
    y[i] = (u + 1.0f) * (g / (1.0f + detail::exp(-(alpha * g))));
  }
}

/// y = 1 / (1 + exp(-x)); y may be x.
inline void sigmoid(const float* x, std::int64_t n, float* y) noexcept {
  for (std::int64_t i = 0; i < n; ++i) y[i] = detail::sigmoid(x[i]);
}
/// y = sigmoid(gate) * x; y may be gate or x.
inline void sigmoid_mul(const float* gate, const float* x, std::int64_t n, float* y) noexcept {
  for (std::int64_t i = 0; i < n; ++i) y[i] = detail::sigmoid(gate[i]) * x[i];
}
/// y = max(x, 0)^2, 0 for NaN; y may be x.
inline void relu_square(const float* x, std::int64_t n, float* y) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    const float v = x[i] > 0.0f ? x[i] : 0.0f;
    y[i] = v * v;
  }
}
/// y = cap * tanh(x / cap); y may be x.
inline void soft_cap(const float* x, float cap, std::int64_t n, float* y) noexcept {
  const detail::SoftCap c(cap);
  for (std::int64_t i = 0; i < n; ++i) y[i] = detail::soft_cap(x[i], c);
}

}  // namespace moe::inline MOE_ABI::reference

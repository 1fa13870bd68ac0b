#pragma once
// Recurrent layers in scalar form: the causal convolution, and the updates of a state. docs/NUMERICS.md has the order.

#include <cstdint>

#include "moe/detail/math.hpp"
#include "moe/detail/recurrent.hpp"

namespace moe::inline MOE_ABI::reference {

inline void causal_conv(const CausalConv& c) noexcept {
  for (std::int64_t i = 0; i < c.channels; ++i) {
    float window[64] = {};
    for (int j = 0; j + 1 < c.taps; ++j) window[j] = c.tail_in == nullptr ? 0.0f : c.tail_in[j * c.weight_stride + i];
    for (std::int64_t t = 0; t < c.tokens; ++t) {
      window[c.taps - 1] = c.x[t * c.x_stride + i];
      float sum = 0.0f;
      for (int j = 0; j < c.taps; ++j) sum = detail::fma(c.weights[j * c.weight_stride + i], window[j], sum);
      if (c.bias != nullptr) sum = sum + c.bias[i];
      c.y[t * c.y_stride + i] = c.silu ? detail::silu(sum) : sum;
      for (int j = 0; j + 1 < c.taps; ++j) window[j] = window[j + 1];
    }
    for (int j = 0; j + 1 < c.taps; ++j) c.tail_out[j * c.weight_stride + i] = window[j];
  }
}

namespace detail_state {

/// One token, one column of values.
inline float step(const StateSteps& s, std::int64_t t, float value, float* column) {
  const float* q = s.q + t * s.qk_stride;
  const float* k = s.k + t * s.qk_stride;
  const float decay = s.decay[t * s.gate_stride], step = s.step[t * s.gate_stride];
  float d = step * value;
  if (s.delta) {
    float seen = 0.0f;
    for (std::int64_t i = 0; i < s.key_dim; ++i) seen = detail::fma(k[i], decay * column[i * kStateLanes], seen);
    d = step * (value - seen);
  }
  float y = 0.0f;
  for (std::int64_t i = 0; i < s.key_dim; ++i) {
    float& state = column[i * kStateLanes];
    state = detail::fma(k[i], d, decay * state);
    y = detail::fma(q[i], state, y);
  }
  return y;
}

}  // namespace detail_state

inline void state_steps(const StateSteps& s) noexcept {
  const std::int64_t tile = s.key_dim * kStateLanes;
  for (std::int64_t first = 0; first < s.values; first += kStateLanes) {
    float* to = s.to + first / kStateLanes * tile;
    for (std::int64_t i = 0; i < tile; ++i) to[i] = s.from == nullptr ? 0.0f : s.from[first / kStateLanes * tile + i];
    for (std::int64_t t = 0; t < s.tokens; ++t)
      for (std::int64_t lane = 0; lane < kStateLanes && first + lane < s.values; ++lane)
        s.y[t * s.y_stride + first + lane] = detail_state::step(s, t, s.v[t * s.v_stride + first + lane], to + lane);
  }
}

}  // namespace moe::inline MOE_ABI::reference

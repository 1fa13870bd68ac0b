#pragma once
// Recurrent layers: the causal convolution with lanes of channels, and the updates of a state with lanes of values.

#include <algorithm>
#include <cstdint>

#include "kernels/lanes_math.hpp"
#include "moe/detail/recurrent.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
void causal_conv(const CausalConv& c) noexcept {
  for_lanes(c.channels, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    Lanes<float, Arch> window[64];
    const int last = c.taps - 1;
    for (int j = 0; j < last; ++j)
      window[j] =
          c.tail_in == nullptr ? broadcast<Arch>(0.0f) : load_up_to<Arch>(c.tail_in + j * c.weight_stride + i, count);
    for (std::int64_t t = 0; t < c.tokens; ++t) {
      window[last] = load_up_to<Arch>(c.x + t * c.x_stride + i, count);
      Lanes<float, Arch> sum = broadcast<Arch>(0.0f);
      for (int j = 0; j < c.taps; ++j)
        sum = fma<Arch>(load_up_to<Arch>(c.weights + j * c.weight_stride + i, count), window[j], sum);
      if (c.bias != nullptr) sum = add<Arch>(sum, load_up_to<Arch>(c.bias + i, count));
      if (c.silu) sum = div<Arch>(sum, one_plus_exp_minus<Arch>(sum));
      store_up_to<Arch>(c.y + t * c.y_stride + i, count, sum);
      for (int j = 0; j < last; ++j) window[j] = window[j + 1];
    }
    for (int j = 0; j < last; ++j) store_up_to<Arch>(c.tail_out + j * c.weight_stride + i, count, window[j]);
  });
}

/// N tiles side by side: as many independent chains. `count`: values of the last tile.
template <class Arch, int N>
MOE_FORCE_INLINE void state_tiles(const StateSteps& s, std::int64_t first, std::int64_t count) {
  const std::int64_t tile = s.key_dim * kStateLanes;
  float* state = s.to + first * tile;
  const float* from = s.from == nullptr ? nullptr : s.from + first * tile;
  if (from == nullptr)
    std::fill_n(state, N * tile, 0.0f);
  else if (from != state)
    std::copy_n(from, N * tile, state);
  for (std::int64_t t = 0; t < s.tokens; ++t) {
    const float* q = s.q + t * s.qk_stride;
    const float* k = s.k + t * s.qk_stride;
    const Lanes<float, Arch> decay = broadcast<Arch>(s.decay[t * s.gate_stride]);
    const Lanes<float, Arch> step = broadcast<Arch>(s.step[t * s.gate_stride]);
    Lanes<float, Arch> d[N], y[N];
    for (int n = 0; n < N; ++n) {
      const float* v = s.v + t * s.v_stride + (first + n) * kStateLanes;
      d[n] = load_up_to<Arch>(v, n == N - 1 ? count : kStateLanes);
      y[n] = broadcast<Arch>(0.0f);
    }
    if (s.delta) {
      for (std::int64_t i = 0; i < s.key_dim; ++i) {
        const Lanes<float, Arch> key = broadcast<Arch>(k[i]);
        for (int n = 0; n < N; ++n)
          y[n] = fma<Arch>(key, mul<Arch>(decay, load<Arch>(state + n * tile + i * kStateLanes)), y[n]);
      }
      for (int n = 0; n < N; ++n) d[n] = sub<Arch>(d[n], y[n]), y[n] = broadcast<Arch>(0.0f);
    }
    for (int n = 0; n < N; ++n) d[n] = mul<Arch>(step, d[n]);
    for (std::int64_t i = 0; i < s.key_dim; ++i) {
      const Lanes<float, Arch> key = broadcast<Arch>(k[i]), query = broadcast<Arch>(q[i]);
      for (int n = 0; n < N; ++n) {
        float* row = state + n * tile + i * kStateLanes;
        const Lanes<float, Arch> next = fma<Arch>(key, d[n], mul<Arch>(decay, load<Arch>(row)));
        store<Arch>(row, next);
        y[n] = fma<Arch>(query, next, y[n]);
      }
    }
    for (int n = 0; n < N; ++n)
      store_up_to<Arch>(s.y + t * s.y_stride + (first + n) * kStateLanes, n == N - 1 ? count : kStateLanes, y[n]);
  }
}

template <class Arch>
void state_steps(const StateSteps& s) noexcept {
  const std::int64_t tiles = (s.values + kStateLanes - 1) / kStateLanes;
  for (std::int64_t first = 0; first < tiles;) {
    const std::int64_t left = tiles - first;
    const auto count = [&](std::int64_t n) { return std::min(kStateLanes, s.values - (first + n - 1) * kStateLanes); };
    if (left >= 4)
      state_tiles<Arch, 4>(s, first, count(4)), first += 4;
    else if (left >= 2)
      state_tiles<Arch, 2>(s, first, count(2)), first += 2;
    else
      state_tiles<Arch, 1>(s, first, count(1)), first += 1;
  }
}

}  // namespace moe::inline MOE_ABI::kernels

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

/// Where N tiles side by side are between two tokens.
template <class Arch, int N>
struct StateTiles {
  float* state;  // decayed for the token at hand, so that one pass over it serves a token
  std::int64_t tile;
  Lanes<float, Arch> seen[N];
};

/// A token's pass: the update and the output; and for the token after it, if there is one, the decay and (Delta) what its
/// key sees.
template <bool Delta, bool More, class Arch, int N>
MOE_FORCE_INLINE void state_pass(const StateSteps& s, std::int64_t t, const Lanes<float, Arch> (&d)[N],
                                 StateTiles<Arch, N>& tiles, Lanes<float, Arch> (&y)[N]) {
  const float* q = s.q + t * s.qk_stride;
  const float* k = s.k + t * s.qk_stride;
  const Lanes<float, Arch> decay = broadcast<Arch>(More ? s.decay[(t + 1) * s.gate_stride] : 1.0f);
  float* state = tiles.state;
  const std::int64_t tile = tiles.tile, key_dim = s.key_dim, stride = s.qk_stride;
  Lanes<float, Arch> sum[N], seen[N];  // local: stores of the state may alias anything else
  for (int n = 0; n < N; ++n) sum[n] = seen[n] = broadcast<Arch>(0.0f);
  for (std::int64_t i = 0; i < key_dim; ++i) {
    float* row = state + i * kStateLanes;
    const Lanes<float, Arch> key = broadcast<Arch>(k[i]), query = broadcast<Arch>(q[i]);
    Lanes<float, Arch> next[N];
    for (int n = 0; n < N; ++n) next[n] = fma<Arch>(key, d[n], load<Arch>(row + n * tile));
    for (int n = 0; n < N; ++n) sum[n] = fma<Arch>(query, next[n], sum[n]);
    if constexpr (More)
      for (int n = 0; n < N; ++n) next[n] = mul<Arch>(decay, next[n]);
    if constexpr (More && Delta) {
      const Lanes<float, Arch> after = broadcast<Arch>(k[stride + i]);
      for (int n = 0; n < N; ++n) seen[n] = fma<Arch>(after, next[n], seen[n]);
    }
    for (int n = 0; n < N; ++n) store<Arch>(row + n * tile, next[n]);
  }
  for (int n = 0; n < N; ++n) y[n] = sum[n], tiles.seen[n] = seen[n];
}

/// The state before the first token, decayed for it.
template <class Arch, int N>
MOE_FORCE_INLINE void state_start(const StateSteps& s, const float* from, StateTiles<Arch, N>& tiles) {
  for (int n = 0; n < N; ++n) tiles.seen[n] = broadcast<Arch>(0.0f);
  const Lanes<float, Arch> decay = broadcast<Arch>(s.decay[0]);
  for (std::int64_t i = 0; i < s.key_dim; ++i)
    for (int n = 0; n < N; ++n) {
      const std::int64_t at = n * tiles.tile + i * kStateLanes;
      const Lanes<float, Arch> x = mul<Arch>(decay, from == nullptr ? broadcast<Arch>(0.0f) : load<Arch>(from + at));
      tiles.seen[n] = fma<Arch>(broadcast<Arch>(s.k[i]), x, tiles.seen[n]);
      store<Arch>(tiles.state + at, x);
    }
}

/// N tiles: as many independent chains. `count`: values of the last tile.
template <bool Delta, class Arch, int N>
MOE_FORCE_INLINE void state_tiles(const StateSteps& s, std::int64_t first, std::int64_t count) {
  const std::int64_t tile = s.key_dim * kStateLanes;
  StateTiles<Arch, N> tiles;
  tiles.state = s.to + first * tile, tiles.tile = tile;
  state_start<Arch, N>(s, s.from == nullptr ? nullptr : s.from + first * tile, tiles);
  for (std::int64_t t = 0; t < s.tokens; ++t) {
    const Lanes<float, Arch> step = broadcast<Arch>(s.step[t * s.gate_stride]);
    Lanes<float, Arch> d[N], y[N];
    for (int n = 0; n < N; ++n) {
      d[n] = load_up_to<Arch>(s.v + t * s.v_stride + (first + n) * kStateLanes, n == N - 1 ? count : kStateLanes);
      d[n] = mul<Arch>(step, Delta ? sub<Arch>(d[n], tiles.seen[n]) : d[n]);
    }
    if (t + 1 < s.tokens)
      state_pass<Delta, true, Arch, N>(s, t, d, tiles, y);
    else
      state_pass<Delta, false, Arch, N>(s, t, d, tiles, y);
    for (int n = 0; n < N; ++n)
      store_up_to<Arch>(s.y + t * s.y_stride + (first + n) * kStateLanes, n == N - 1 ? count : kStateLanes, y[n]);
  }
}

// Two tiles on AVX-512, one (of two registers) on AVX2: enough independent chains to hide the latency of fma, and sums
// stay in registers. Two tiles of 128 keys are half of an L1 cache.
template <bool Delta, class Arch>
void state_steps_of(const StateSteps& s) noexcept {
  constexpr int kTiles = Lanes<float, Arch>::kRegisters == 1 ? 2 : 1;
  for (std::int64_t first = 0; first * kStateLanes < s.values;) {
    const std::int64_t left = s.values - first * kStateLanes;
    if (left > (kTiles - 1) * kStateLanes) {
      state_tiles<Delta, Arch, kTiles>(s, first, std::min(kStateLanes, left - (kTiles - 1) * kStateLanes));
      first += kTiles;
    } else {
      state_tiles<Delta, Arch, 1>(s, first, left);
      first += 1;
    }
  }
}

template <class Arch>
void state_steps(const StateSteps& s) noexcept {
  s.delta ? state_steps_of<true, Arch>(s) : state_steps_of<false, Arch>(s);
}

}  // namespace moe::inline MOE_ABI::kernels

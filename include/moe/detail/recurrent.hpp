#pragma once
// What kernels of recurrent layers compute, as plain pointers. The order of operations is in docs/NUMERICS.md.

#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// A causal convolution per channel over consecutive tokens, then SiLU if asked for.
struct CausalConv {
  const float* x = nullptr;  ///< [tokens, x_stride], `channels` of each row
  std::int64_t x_stride = 0;
  std::int64_t tokens = 0, channels = 0;
  int taps = 0;                    ///< tokens that it sees, the current one included
  const float* weights = nullptr;  ///< [taps, weight_stride], oldest token first
  std::int64_t weight_stride = 0;  ///< also of the tails
  const float* bias = nullptr;     ///< [channels] or null
  const float* tail_in = nullptr;  ///< [taps - 1, weight_stride] inputs before the first token; null: zeros
  float* tail_out = nullptr;       ///< the same after the last token; may be tail_in
  bool silu = false;
  float* y = nullptr;  ///< [tokens, y_stride]
  std::int64_t y_stride = 0;
};

/// Values of a matrix of states that are updated together: a tile is [key_dim, 16], its lanes are values.
inline constexpr std::int64_t kStateLanes = 16;
/// Floats of one matrix: whole tiles.
constexpr std::int64_t state_floats(std::int64_t key_dim, std::int64_t value_dim) noexcept {
  return key_dim * ((value_dim + kStateLanes - 1) / kStateLanes * kStateLanes);
}

/// Steps of a recurrent state S [key_dim, value_dim] of one head over consecutive tokens, for `tiles` tiles of values.
/// delta: S *= decay; d = step (v - k^T S); S += k d^T; y = q^T S.  Otherwise: S = decay S + k (step v)^T; y = q^T S.
struct StateSteps {
  bool delta = true;
  std::int64_t tokens = 0, key_dim = 0;
  std::int64_t values = 0;  ///< columns of v and y; the last tile may be partly padding
  const float* q = nullptr;
  const float* k = nullptr;
  std::int64_t qk_stride = 0;  ///< of q and k, between tokens
  const float* v = nullptr;
  std::int64_t v_stride = 0;
  const float* decay = nullptr;  ///< one per token, `gate_stride` apart, as `step`
  const float* step = nullptr;
  std::int64_t gate_stride = 0;
  const float* from = nullptr;  ///< tiles, one after the other; null: zeros
  float* to = nullptr;          ///< may be `from`
  float* y = nullptr;
  std::int64_t y_stride = 0;
};

}  // namespace moe::inline MOE_ABI

#pragma once
// Activations: float32 -> q8g32, int8 codes with a float32 scale per 32 values and the sum of each 16 codes.

#include <cmath>
#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::reference {

/// Below this largest magnitude a block is zero: 127 / a would overflow for the smallest numbers.
inline constexpr float kQ8Smallest = 0x1p-100f;

/// Quantises activations.
///
///   x       [k]     k % 32 == 0
///   codes   [k]     clamp(rint_even(x * (127 / a)), -127, 127), a = largest magnitude of the block
///   scales  [k/32]  a / 127
///   sums    [k/16]  sum of 16 codes each
///
/// Accuracy  same bits on every ISA (docs/NUMERICS.md)
inline void quantize_q8(const float* x, std::int64_t k, std::int8_t* codes, float* scales,
                        std::int16_t* sums) noexcept {
  for (std::int64_t b = 0; b < k / 32; ++b) {
    const float* v = x + 32 * b;
    float a = 0.0f;
    for (int i = 0; i < 32; ++i) a = std::fabs(v[i]) > a ? std::fabs(v[i]) : a;
    const bool zero = a < kQ8Smallest;
    const float r = zero ? 0.0f : 127.0f / a;
    scales[b] = zero ? 0.0f : a / 127.0f;
    for (int half = 0; half < 2; ++half) {
      int sum = 0;
      for (int i = 16 * half; i < 16 * half + 16; ++i) {
        float q = zero ? 0.0f : std::nearbyint(v[i] * r);
        q = q > -127.0f ? q : -127.0f;  // in this form a NaN becomes -127 as well
        q = q < 127.0f ? q : 127.0f;
        codes[32 * b + i] = static_cast<std::int8_t>(q);
        sum += codes[32 * b + i];
      }
      sums[2 * b + half] = static_cast<std::int16_t>(sum);
    }
  }
}

}  // namespace moe::inline MOE_ABI::reference

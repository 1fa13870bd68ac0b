#pragma once
// Shared by the encoders of the 32-value formats. Every product and sum is rounded separately, as in the reference
// implementation of the formats: the same values give the same bytes, with every compiler.

#include <cmath>
#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::quant {

/// The value of largest magnitude with its sign; of equal ones the first; 0 where all are 0.
inline float largest_magnitude(const float* in, int count) noexcept {
  float largest = 0.0f;
  for (int i = 0; i < count; ++i)
    if (std::abs(in[i]) > std::abs(largest)) largest = in[i];
  return largest;
}

struct Range {
  float min, max;
};
inline Range value_range(const float* in, int count) noexcept {
  Range range = {in[0], in[0]};
  for (int i = 1; i < count; ++i) {
    range.min = in[i] < range.min ? in[i] : range.min;
    range.max = in[i] > range.max ? in[i] : range.max;
  }
  return range;
}

/// 1 / d, and 0 for d = 0. It overflows where |d| < 2^-128: such a d is 0 in f16, and all codes become 0.
struct Reciprocal {
  float value;
  bool overflows;

  explicit Reciprocal(float d) noexcept
      : value(d != 0.0f ? 1.0f / d : 0.0f), overflows(!(std::abs(value) <= 3.402823466e38f)) {}

  /// x / d + offset, truncated, at most `max`; offset maps the lowest value to code 0 and includes the 1/2 of rounding.
  std::uint32_t code(float x, float offset, std::uint32_t max) const noexcept {
    if (overflows) return 0;
    const float scaled = x * value;
    const float shifted = scaled + offset;
    // Below 0 only by rounding; NaN or infinity only with a scale that f16 cannot hold.
    if (!(shifted >= 1.0f)) return 0;
    return shifted >= static_cast<float>(max) ? max : static_cast<std::uint32_t>(shifted);
  }
};

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// The searches of the K formats' encoders: scales that reduce the weighted squared error, over a few trial steps.
// Order and rounding of every operation are those of the reference implementation of the formats (GGML's
// quantisation without an importance matrix), so that the same values give the same bytes.

#include <bit>
#include <cmath>
#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::quant {

/// Parts whose values are all smaller count as zero.
inline constexpr float kNothing = 1e-15f;

/// x to the nearest integer, ties to even, then into [min, max]. |x| up to 2^22 is exact; beyond (and for NaN, which
/// only parts of denormals give) the result is some value inside the limits, the same everywhere.
MOE_FORCE_INLINE std::int32_t nearest_code(float x, std::int32_t min, std::int32_t max) noexcept {
  // Adding 1.5 * 2^23 leaves the integer in the low bits of the significand.
  const float shifted = x + 12582912.0f;
  const std::int32_t nearest = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(shifted) & 0x7fffffu) - 0x400000;
  return nearest < min ? min : nearest > max ? max : nearest;
}

/// w = scale * code - minimum; both are >= 0.
struct AffineFit {
  float scale = 0.0f, minimum = 0.0f;
};

/// 32 values, what each counts (its magnitude plus the root mean square), and what every trial needs of both.
struct WeightedValues {
  static constexpr int kCount = 32;
  const float* x;
  float weight[kCount];
  float min, max, sum_w, sum_x;

  MOE_FORCE_INLINE explicit WeightedValues(const float* values) noexcept : x(values) {
    float squares = 0.0f;
    for (int i = 0; i < kCount; ++i) {
      const float square = x[i] * x[i];
      squares = squares + square;
    }
    const float rms = std::sqrt(squares / static_cast<float>(kCount));
    for (int i = 0; i < kCount; ++i) weight[i] = rms + std::abs(x[i]);

    min = x[0], max = x[0], sum_w = weight[0], sum_x = weight[0] * x[0];
    for (int i = 1; i < kCount; ++i) {
      min = x[i] < min ? x[i] : min;
      max = x[i] > max ? x[i] : max;
      sum_w = sum_w + weight[i];
      const float weighted = weight[i] * x[i];
      sum_x = sum_x + weighted;
    }
    if (min > 0.0f) min = 0.0f;  // the format stores -minimum as a number >= 0
  }

  /// Codes 0..Max for `steps` codes per unit above `low`.
  template <int Max>
  MOE_FORCE_INLINE void choose(float steps, float low, std::uint8_t* codes) const noexcept {
    for (int i = 0; i < kCount; ++i) codes[i] = static_cast<std::uint8_t>(nearest_code(steps * (x[i] - low), 0, Max));
  }

  /// The weighted squared error of codes. Here and below, fit.minimum is the value of code 0.
  MOE_FORCE_INLINE float error_of(const std::uint8_t* codes, AffineFit fit) const noexcept {
    float sum = 0.0f;
    for (int i = 0; i < kCount; ++i) {
      const float product = fit.scale * static_cast<float>(codes[i]);
      const float value = product + fit.minimum;
      const float difference = value - x[i];
      const float square = difference * difference;
      const float weighted = weight[i] * square;
      sum = sum + weighted;
    }
    return sum;
  }

  /// The least-squares fit of codes; false where there is none.
  MOE_FORCE_INLINE bool solve(const std::uint8_t* codes, AffineFit& fit) const noexcept {
    float sum_c = 0.0f, sum_cc = 0.0f, sum_cx = 0.0f;
    for (int i = 0; i < kCount; ++i) {
      const float weighted = weight[i] * static_cast<float>(codes[i]);
      const float weighted_c = weighted * static_cast<float>(codes[i]), weighted_x = weighted * x[i];
      sum_c = sum_c + weighted;
      sum_cc = sum_cc + weighted_c;
      sum_cx = sum_cx + weighted_x;
    }
    const float w_cc = sum_w * sum_cc, c_c = sum_c * sum_c;
    const float determinant = w_cc - c_c;
    if (!(determinant > 0.0f)) return false;
    const float w_cx = sum_w * sum_cx, x_c = sum_x * sum_c, cc_x = sum_cc * sum_x, c_cx = sum_c * sum_cx;
    fit = {(w_cx - x_c) / determinant, (cc_x - c_cx) / determinant};
    if (fit.minimum > 0.0f) fit = {sum_cx / sum_cc, 0.0f};
    return true;
  }
};

/// Scale and minimum of 32 values for codes 0..Max, and the codes. Starting from the range of the values, 21 steps
/// between (Max - 1) and (Max + 1) per range are tried: codes for the step, then the least-squares scale and minimum for
/// these codes.
template <int Max>
inline AffineFit fit_affine(const float* x, std::uint8_t* codes) noexcept {
  constexpr int kCount = WeightedValues::kCount;
  const WeightedValues values(x);
  const float min = values.min, max = values.max;
  if (max == min) {
    for (int i = 0; i < kCount; ++i) codes[i] = 0;
    return {0.0f, -min};
  }
  const float first = static_cast<float>(Max) / (max - min);
  values.template choose<Max>(first, min, codes);
  AffineFit best = {1.0f / first, min};
  float best_error = values.error_of(codes, best);
  for (int step = 0; step <= 20; ++step) {
    const float moved = 0.1f * static_cast<float>(step);
    const float around = -1.0f + moved;
    std::uint8_t trial[kCount];
    // From the lowest value of the best fit so far, not of the data.
    values.template choose<Max>((around + static_cast<float>(Max)) / (max - best.minimum), best.minimum, trial);
    AffineFit fit;
    if (!values.solve(trial, fit)) continue;
    const float error = values.error_of(trial, fit);
    if (!(error < best_error)) continue;
    best_error = error;
    best = fit;
    for (int i = 0; i < kCount; ++i) codes[i] = trial[i];
  }
  return {best.scale, -best.minimum};
}

/// Scale of Count values for codes -Half..Half-1, and the codes with Half added. Tries scales that map the value of
/// largest magnitude to -Half and to 18 points around it, each refined by least squares, values weighted by their
/// squares.
template <int Half, int Count>
inline float fit_scale(const float* x, std::uint8_t* codes) noexcept {
  float largest = 0.0f;
  for (int i = 0; i < Count; ++i)
    if (std::abs(x[i]) > std::abs(largest)) largest = x[i];
  if (std::abs(largest) < kNothing) {
    for (int i = 0; i < Count; ++i) codes[i] = 0;
    return 0.0f;
  }
  struct Sums {
    float cx = 0.0f, cc = 0.0f;
  };
  const auto choose = [&](float steps, std::uint8_t* out) {
    Sums sums;
    for (int i = 0; i < Count; ++i) {
      const std::int32_t code = nearest_code(steps * x[i], -Half, Half - 1);
      out[i] = static_cast<std::uint8_t>(code + Half);
      const float c = static_cast<float>(code), weight = x[i] * x[i];
      const float weighted_x = weight * x[i], weighted_c = weight * c;
      const float cx = weighted_x * c, cc = weighted_c * c;
      sums.cx = sums.cx + cx;
      sums.cc = sums.cc + cc;
    }
    return sums;
  };

  Sums sums = choose(-static_cast<float>(Half) / largest, codes);
  float scale = sums.cc != 0.0f ? sums.cx / sums.cc : 0.0f;
  float best = scale * sums.cx;
  for (int step = -9; step <= 9; ++step) {
    if (step == 0) continue;
    std::uint8_t trial[Count];
    const float moved = 0.1f * static_cast<float>(step);
    sums = choose(-(static_cast<float>(Half) + moved) / largest, trial);
    const float gain = sums.cx * sums.cx, needed = best * sums.cc;
    if (!(sums.cc > 0.0f && gain > needed)) continue;
    scale = sums.cx / sums.cc;
    best = scale * sums.cx;
    for (int i = 0; i < Count; ++i) codes[i] = trial[i];
  }
  return scale;
}

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// Elementary functions with the same bits on every compiler and CPU: fixed order, every a*b+c an explicit fma.
// The kernels compute the same float functions (kernels/lanes_math.hpp: the same code on 16 lanes).

#include <bit>
#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::detail {

/// a * b + c with one rounding (a library call where the compiler may not assume the fma instruction).
MOE_FORCE_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
MOE_FORCE_INLINE double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }

/// Constants of exp(float), shared with the SIMD form.
struct ExpF32 {
  // Below kLow the result would be less than 2^-126 and is 0: subnormal numbers cost some CPUs a hundred cycles each
  // and are negligible in a softmax sum. Above 89 it is infinite. Clamping keeps the exponent arithmetic in range.
  static constexpr float kLow = -0x1.5d589cp+6f, kHigh = 89.0f;
  static constexpr float kLog2e = 0x1.715476p+0f;
  // ln 2 in two parts; the first has 20 bits, so n * kLn2High is exact.
  static constexpr float kLn2High = 0x1.62e43p-1f, kLn2Low = -0x1.05c61p-29f;
  // Adding 1.5 * 2^23 rounds to an integer (ties to even) and leaves it in the low bits.
  static constexpr float kShift = 0x1.8p+23f;
  static constexpr std::uint32_t kShiftBits = 0x4B400000u;
  // exp(r) = 1 + r + r^2 q(r) on |r| <= 0.3475, q of degree 4 by minimax fit: relative error 3e-9 before rounding.
  static constexpr float kC2 = 0x1.fffffcp-2f, kC3 = 0x1.55549p-3f, kC4 = 0x1.5558fap-5f, kC5 = 0x1.123b6ap-7f,
                         kC6 = 0x1.6a21acp-10f;
};

/// exp(x) within 1 ulp; +0 below -87.3365, where it would be subnormal. exp(-inf) = +0, exp(NaN) = NaN.
MOE_FORCE_INLINE float exp(float x) {
  using C = ExpF32;
  const bool vanishes = x < C::kLow;
  x = C::kHigh < x ? C::kHigh : x;  // both comparisons are false for NaN, which passes through
  x = C::kLow > x ? C::kLow : x;
  const float shifted = detail::fma(x, C::kLog2e, C::kShift);
  const float n = shifted - C::kShift;
  float r = detail::fma(n, -C::kLn2High, x);
  r = detail::fma(n, -C::kLn2Low, r);
  float p = C::kC6;
  p = detail::fma(p, r, C::kC5);
  p = detail::fma(p, r, C::kC4);
  p = detail::fma(p, r, C::kC3);
  p = detail::fma(p, r, C::kC2);
  p = detail::fma(p, r, 1.0f);
  p = detail::fma(p, r, 1.0f);
  // p * 2^n in two exact powers of two: the last product alone may overflow.
  const std::uint32_t biased = std::bit_cast<std::uint32_t>(shifted) - (C::kShiftBits - 256u);  // n + 256
  const std::uint32_t half = biased >> 1;
  p *= std::bit_cast<float>((half - 1u) << 23);
  p *= std::bit_cast<float>((biased - half - 1u) << 23);
  return vanishes ? 0.0f : p;
}

MOE_FORCE_INLINE float sigmoid(float x) { return 1.0f / (1.0f + detail::exp(-x)); }
/// x * sigmoid(x) with one division.
MOE_FORCE_INLINE float silu(float x) { return x / (1.0f + detail::exp(-x)); }

/// GELU in its tanh form, written with the sigmoid: 0.5 (1 + tanh u) = 1 / (1 + exp(-2 u)).
struct GeluF32 {
  static constexpr float kLinear = 0x1.988454p+0f;  // 2 sqrt(2/pi)
  static constexpr float kCubic = 0x1.2444f2p-4f;   // 2 sqrt(2/pi) * 0.044715
};
MOE_FORCE_INLINE float gelu_tanh(float x) {
  const float u = x * detail::fma(x * x, GeluF32::kCubic, GeluF32::kLinear);
  return x / (1.0f + detail::exp(-u));
}

/// cap * tanh(x / cap), with tanh u = 1 - 2 / (1 + exp(2 u)): Gemma 2 (arXiv:2408.00118, 2, "logit soft-capping"). 0 stays
/// 0, infinities become +-cap, NaN stays; the error is below 2^-21 cap.
struct SoftCap {
  float cap, twice_cap, slope;  // slope: 2 / cap
  explicit SoftCap(float c) : cap(c), twice_cap(2.0f * c), slope(2.0f / c) {}
};
MOE_FORCE_INLINE float soft_cap(float x, const SoftCap& c) {
  return c.cap - c.twice_cap / (1.0f + detail::exp(x * c.slope));
}

/// Adds 16 partial sums as a tree: 8, 4, 2, 1.
MOE_FORCE_INLINE float tree_sum(const float* p) {
  float t[8];
  for (int i = 0; i < 8; ++i) t[i] = p[i] + p[i + 8];
  for (int step = 4; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) t[i] = t[i] + t[i + step];
  return t[0];
}

/// y = softmax(x) for n > 0; x and y may be the same. Sum: 16 partial sums p[i % 16] in rising i, then tree_sum.
MOE_FORCE_INLINE void softmax(const float* x, std::int64_t n, float* y) {
  float m = x[0];
  for (std::int64_t i = 1; i < n; ++i) m = m > x[i] ? m : x[i];
  float p[16] = {};
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = detail::exp(x[i] - m);
    p[i % 16] = p[i % 16] + y[i];
  }
  const float sum = tree_sum(p);
  for (std::int64_t i = 0; i < n; ++i) y[i] = y[i] / sum;
}

// ---------------------------------------------------------------------------------------------------------------------
// double: RoPE angles and frequencies, log_softmax of scores.

inline constexpr double kLn2High = 0x1.62e42fefap-1, kLn2Low = 0x1.cf79abc9e3b3ap-40;
inline constexpr double kShift52 = 0x1.8p+52;  // rounds to an integer, as ExpF32::kShift

/// exp(x) within 1 ulp; 0 below -745.2, infinity above 709.8.
inline double exp(double x) {
  x = 710.0 < x ? 710.0 : x;
  x = -746.0 > x ? -746.0 : x;
  const double shifted = detail::fma(x, 0x1.71547652b82fep+0, kShift52);
  const double n = shifted - kShift52;
  double r = detail::fma(n, -kLn2High, x);
  r = detail::fma(n, -kLn2Low, r);
  // Taylor to r^13: 0.3466^14 / 14! = 4e-18.
  constexpr double kInverseFactorial[] = {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0,
                                          1.0 / 362880.0,     1.0 / 40320.0,     1.0 / 5040.0,     1.0 / 720.0,
                                          1.0 / 120.0,        1.0 / 24.0,        1.0 / 6.0,        0.5};
  double p = 0.0;
  for (double c : kInverseFactorial) p = detail::fma(p, r, c);
  p = detail::fma(p, r, 1.0);
  p = detail::fma(p, r, 1.0);
  const std::uint64_t biased = std::bit_cast<std::uint64_t>(shifted) - (std::bit_cast<std::uint64_t>(kShift52) - 2048u);
  const std::uint64_t half = biased >> 1;  // (n + 2048) / 2
  p *= std::bit_cast<double>((half - 1u) << 52);
  return p * std::bit_cast<double>((biased - half - 1u) << 52);
}

/// Natural logarithm of a positive, normal, finite x, within 2 ulp.
inline double log(double x) {
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
  // Split x = 2^e * m with m in [sqrt(1/2), sqrt(2)).
  const std::uint64_t offset = bits - 0x3FE6A09E667F3BCDu;
  const double e = static_cast<double>(static_cast<std::int64_t>(offset) >> 52);
  const double m = std::bit_cast<double>((offset & 0x000FFFFFFFFFFFFFu) + 0x3FE6A09E667F3BCDu);
  // log m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.1716: s^24 / 25 < 2e-20.
  const double f = m - 1.0;
  const double s = f / (m + 1.0), z = s * s;
  double p = 0.0;
  for (int k = 23; k >= 3; k -= 2) p = detail::fma(p, z, 1.0 / k);
  // 2 s = f - s f: log m is written as f plus a small correction, which keeps the precision of f.
  const double tail = detail::fma(s, 2.0 * z * p, e * kLn2Low);
  const double two_s = detail::fma(-s, f, f);  // f (1 - s) = 2 s, with a smaller error than doubling s
  return detail::fma(e, kLn2High, two_s + tail);
}

/// x^y for positive normal x: RoPE frequencies theta^(-2i/d), where |y log x| stays below 30.
inline double pow(double x, double y) { return detail::exp(y * detail::log(x)); }

struct SinCos {
  double sin, cos;
};

/// Absolute error below 1e-15 for |x| up to 1e6 (and 1e-12 up to 1e9): beyond any context length times frequency.
inline SinCos sin_cos(double x) {
  // x = n pi/2 + r, pi/2 in two doubles; the first product is subtracted exactly.
  const double shifted = detail::fma(x, 0x1.45f306dc9c883p-1, kShift52);
  const double n = shifted - kShift52;
  double r = detail::fma(n, -0x1.921fb54442d18p+0, x);
  r = detail::fma(n, -0x1.1a62633145c07p-54, r);
  const double z = r * r;
  // Taylor on |r| <= 0.786: sin to r^17 (next term 9e-20), cos to r^18 (next 3e-21).
  constexpr double kSin[] = {1.0 / 355687428096000.0, -1.0 / 1307674368000.0, 1.0 / 6227020800.0, -1.0 / 39916800.0,
                             1.0 / 362880.0,          -1.0 / 5040.0,          1.0 / 120.0,        -1.0 / 6.0};
  constexpr double kCos[] = {-1.0 / 6402373705728000.0,
                             1.0 / 20922789888000.0,
                             -1.0 / 87178291200.0,
                             1.0 / 479001600.0,
                             -1.0 / 3628800.0,
                             1.0 / 40320.0,
                             -1.0 / 720.0,
                             1.0 / 24.0,
                             -0.5};
  double p = 0.0;
  for (double c : kSin) p = detail::fma(p, z, c);
  const double s = detail::fma(r * z, p, r);
  double q = 0.0;
  for (double c : kCos) q = detail::fma(q, z, c);
  const double c = detail::fma(q, z, 1.0);
  switch (std::bit_cast<std::uint64_t>(shifted) & 3u) {
    case 0: return {s, c};
    case 1: return {c, -s};
    case 2: return {-s, -c};
    default: return {-c, s};
  }
}

}  // namespace moe::inline MOE_ABI::detail

#pragma once
// Shared by the float kernels, on 16 lanes: partial rows, exp, the fixed sum. exp is detail::exp line by line.

#include <cstdint>

#include "kernels/simd.hpp"
#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI::kernels {

/// The first `count` (1..16) values of p, then `fill`.
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> load_part(const float* p, std::int64_t count, float fill) {
  float part[16];
  for (int i = 0; i < 16; ++i) part[i] = fill;
  for (std::int64_t i = 0; i < count; ++i) part[i] = p[i];
  return load<Arch>(part);
}
template <class Arch>
MOE_FORCE_INLINE void store_part(float* p, std::int64_t count, const Lanes<float, Arch>& a) {
  float part[16];
  store<Arch>(part, a);
  for (std::int64_t i = 0; i < count; ++i) p[i] = part[i];
}

// Forced inline: with two callers g++ would emit a call per 16 values, 3.7 times the time of the loop.
#define MOE_INLINE_LAMBDA __attribute__((always_inline))

/// Calls body(offset, count) for each 16 values; the last count may be less.
template <class Body>
MOE_FORCE_INLINE void for_lanes(std::int64_t n, Body&& body) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, std::int64_t{16});
  if (i < n) body(i, n - i);
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> load_up_to(const float* p, std::int64_t count, float fill = 0.0f) {
  return count == 16 ? load<Arch>(p) : load_part<Arch>(p, count, fill);
}
template <class Arch>
MOE_FORCE_INLINE void store_up_to(float* p, std::int64_t count, const Lanes<float, Arch>& a) {
  count == 16 ? store<Arch>(p, a) : store_part<Arch>(p, count, a);
}

/// a < b ? x : y in each lane.
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> select_less(const Lanes<float, Arch>& a, const Lanes<float, Arch>& b,
                                                const Lanes<float, Arch>& x, const Lanes<float, Arch>& y) {
  Lanes<float, Arch> out;
  for (int i = 0; i < Lanes<float, Arch>::kRegisters; ++i) out.r[i] = xsimd::select(a.r[i] < b.r[i], x.r[i], y.r[i]);
  return out;
}

/// p * 2^n, where `shifted` = n + 1.5 * 2^23: two exact powers of two, so that only the last product may overflow.
/// AVX-512 has one instruction with the same result.
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> scale_by_exponent(const Lanes<float, Arch>& p, const Lanes<float, Arch>& shifted,
                                                      [[maybe_unused]] const Lanes<float, Arch>& n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(p.r[0]) == 64) {
    Lanes<float, Arch> out;
    out.r[0] = _mm512_scalef_ps(p.r[0], n.r[0]);
    return out;
  }
#endif
  using Int = Register<std::int32_t, Arch>;
  using Float = Register<float, Arch>;
  Lanes<float, Arch> out;
  for (int i = 0; i < Lanes<float, Arch>::kRegisters; ++i) {
    const Int biased =
        xsimd::bitwise_cast<Int>(shifted.r[i]) - Int(static_cast<std::int32_t>(detail::ExpF32::kShiftBits - 256u));
    const Int half = biased >> 1;  // biased is positive
    const Int one(1);
    const Float low = xsimd::bitwise_cast<Float>((half - one) << 23);
    const Float high = xsimd::bitwise_cast<Float>((biased - half - one) << 23);
    out.r[i] = p.r[i] * low * high;
  }
  return out;
}

template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> exp(const Lanes<float, Arch>& from) {
  using C = detail::ExpF32;
  Lanes<float, Arch> x = from;
  x = min<Arch>(broadcast<Arch>(C::kHigh), x);  // the second operand where the comparison is false: NaN stays
  x = max<Arch>(broadcast<Arch>(C::kLow), x);
  const Lanes<float, Arch> shift = broadcast<Arch>(C::kShift), one = broadcast<Arch>(1.0f);
  const Lanes<float, Arch> shifted = fma<Arch>(x, broadcast<Arch>(C::kLog2e), shift);
  const Lanes<float, Arch> n = sub<Arch>(shifted, shift);
  Lanes<float, Arch> r = fma<Arch>(n, broadcast<Arch>(-C::kLn2High), x);
  r = fma<Arch>(n, broadcast<Arch>(-C::kLn2Low), r);
  Lanes<float, Arch> p = broadcast<Arch>(C::kC6);
  p = fma<Arch>(p, r, broadcast<Arch>(C::kC5));
  p = fma<Arch>(p, r, broadcast<Arch>(C::kC4));
  p = fma<Arch>(p, r, broadcast<Arch>(C::kC3));
  p = fma<Arch>(p, r, broadcast<Arch>(C::kC2));
  p = fma<Arch>(p, r, one);
  p = fma<Arch>(p, r, one);
  return select_less<Arch>(from, broadcast<Arch>(C::kLow), broadcast<Arch>(0.0f),
                           scale_by_exponent<Arch>(p, shifted, n));
}

/// 1 + exp(-x): the denominator of sigmoid and silu. Flips the sign bit, because 0 - x is +0 for x = +0.
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> one_plus_exp_minus(const Lanes<float, Arch>& x) {
  return add<Arch>(broadcast<Arch>(1.0f), exp<Arch>(mul<Arch>(x, broadcast<Arch>(-1.0f))));
}

/// The 16 lanes as a tree: 8, 4, 2, 1.
template <class Arch>
MOE_FORCE_INLINE float tree_sum(const Lanes<float, Arch>& a) {
#if defined(__x86_64__)
  if constexpr (Lanes<float, Arch>::kRegisters == 1) {
    return tree_sum_register(_mm256_add_ps(low_half(a.r[0]), high_half(a.r[0])));
  } else {
    return tree_sum_register(_mm256_add_ps(a.r[0], a.r[1]));
  }
#else
  float p[16];
  store<Arch>(p, a);
  return detail::tree_sum(p);
#endif
}
template <class Arch>
MOE_FORCE_INLINE float largest(const Lanes<float, Arch>& a) {
#if defined(__x86_64__)
  if constexpr (Lanes<float, Arch>::kRegisters == 1) {
    return largest_register(_mm256_max_ps(low_half(a.r[0]), high_half(a.r[0])));
  } else {
    return largest_register(_mm256_max_ps(a.r[0], a.r[1]));
  }
#else
  float p[16];
  store<Arch>(p, a);
  for (int step = 8; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) p[i] = p[i] > p[i + step] ? p[i] : p[i + step];
  return p[0];
#endif
}

}  // namespace moe::inline MOE_ABI::kernels

#pragma once
// All raw intrinsics are here. xsimd supplies loads, stores and plain arithmetic; this file adds what xsimd 8.1
// lacks or gets wrong: fused multiply-add (its AVX-512 fma is a multiply and an add), rounding, conversions, max,
// integer dot products. Every kernel works on Lanes<T, Arch>: always 16 lanes, in as many registers as the ISA needs.

#include <cstdint>
#include <xsimd/xsimd.hpp>

#include "moe/error.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace moe::inline MOE_ABI::kernels {

/// The table without vector instructions: the functions of include/moe/detail/reference, for checking the others.
struct Scalar {
  static constexpr const char* kName = "scalar";
};

// Our own architecture tags: xsimd 8.1 has no VNNI, and with its tags two of our units would share symbols.
#if defined(__x86_64__)
struct Avx2 {
  using Simd = xsimd::fma3<xsimd::avx2>;
  static constexpr const char* kName = "avx2";
  static constexpr bool kVnni = false;
};
struct Avx512 {
  using Simd = xsimd::avx512bw;
  static constexpr const char* kName = "avx512";
  static constexpr bool kVnni = false;
};
struct Avx512Vnni {
  using Simd = xsimd::avx512bw;
  static constexpr const char* kName = "avx512vnni";
  static constexpr bool kVnni = true;
};
/// Avx512Vnni with permutations of bytes: a function of that table (isa/avx512vbmi.cpp).
struct Avx512Vbmi {
  using Simd = xsimd::avx512bw;
  static constexpr const char* kName = "avx512vbmi";
  static constexpr bool kVnni = true;
};
/// Avx512Vnni with the tile registers of AMX for products of eight tokens and more (gemm_q8_amx.hpp).
struct Amx {
  using Simd = xsimd::avx512bw;
  static constexpr const char* kName = "amx";
  static constexpr bool kVnni = true;
};
#elif defined(__aarch64__)
struct Neon {
  using Simd = xsimd::neon64;
  static constexpr const char* kName = "neon";
};
#endif

template <class T, class Arch>
using Register = xsimd::batch<T, typename Arch::Simd>;

/// 16 values of type T (4 bytes each): one AVX-512 register, two of AVX2, four of NEON.
template <class T, class Arch>
struct Lanes {
  static constexpr int kWidth = static_cast<int>(Register<T, Arch>::size);
  static constexpr int kRegisters = 16 / kWidth;
  Register<T, Arch> r[kRegisters];
};

// ---------------------------------------------------------------------------------------------------------------------
// One overload per register type. Everything is force-inlined: no symbol of this file may leave a unit.

#if defined(__x86_64__)
#ifdef __AVX512F__
MOE_FORCE_INLINE __m512 fma_register(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
MOE_FORCE_INLINE __m512 div_register(__m512 a, __m512 b) { return _mm512_div_ps(a, b); }
MOE_FORCE_INLINE __m512 max_register(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
MOE_FORCE_INLINE __m512 min_register(__m512 a, __m512 b) { return _mm512_min_ps(a, b); }
MOE_FORCE_INLINE __m512 round_even_register(__m512 a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
MOE_FORCE_INLINE __m512i to_int_register(__m512 a) { return _mm512_cvtps_epi32(a); }
MOE_FORCE_INLINE __m512 to_float_register(__m512i a) { return _mm512_cvtepi32_ps(a); }
MOE_FORCE_INLINE __m512 abs_register(__m512 a) { return _mm512_abs_ps(a); }
/// Halves of a register: lanes [0, 8) and [8, 16).
MOE_FORCE_INLINE __m256 low_half(__m512 a) { return _mm512_castps512_ps256(a); }
MOE_FORCE_INLINE __m256 high_half(__m512 a) { return _mm512_extractf32x8_ps(a, 1); }
MOE_FORCE_INLINE void transpose_register_16x16(const float* const (&rows)[16], float* out) {
  __m512 a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_ps(rows[i]);
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {  // pairs of rows
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {  // quadruples
    const __m512d p = _mm512_castps_pd(b[i]), q = _mm512_castps_pd(b[i + 1]), r = _mm512_castps_pd(b[i + 2]),
                  s = _mm512_castps_pd(b[i + 3]);
    a[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(p, r));
    a[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(p, r));
    a[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(q, s));
    a[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(q, s));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // columns i, i + 4, i + 8, i + 12 of the four quadruples
    const __m512 low = _mm512_shuffle_f32x4(a[i], a[i + 4], 0x88), high = _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd);
    const __m512 low2 = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0x88),
                 high2 = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0xdd);
    _mm512_storeu_ps(out + 16 * i, _mm512_shuffle_f32x4(low, low2, 0x88));
    _mm512_storeu_ps(out + 16 * (i + 4), _mm512_shuffle_f32x4(high, high2, 0x88));
    _mm512_storeu_ps(out + 16 * (i + 8), _mm512_shuffle_f32x4(low, low2, 0xdd));
    _mm512_storeu_ps(out + 16 * (i + 12), _mm512_shuffle_f32x4(high, high2, 0xdd));
  }
}
#endif
#ifdef __AVX2__
MOE_FORCE_INLINE __m256 fma_register(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
MOE_FORCE_INLINE __m256 div_register(__m256 a, __m256 b) { return _mm256_div_ps(a, b); }
MOE_FORCE_INLINE __m256 max_register(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
MOE_FORCE_INLINE __m256 min_register(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
MOE_FORCE_INLINE __m256 round_even_register(__m256 a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
MOE_FORCE_INLINE __m256i to_int_register(__m256 a) { return _mm256_cvtps_epi32(a); }
MOE_FORCE_INLINE __m256 to_float_register(__m256i a) { return _mm256_cvtepi32_ps(a); }
MOE_FORCE_INLINE __m256 abs_register(__m256 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
/// Eight lanes as a tree: 4, 2, 1.
MOE_FORCE_INLINE float tree_sum_register(__m256 a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
MOE_FORCE_INLINE float largest_register(__m256 a) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}
#endif
#elif defined(__aarch64__)
MOE_FORCE_INLINE float32x4_t fma_register(float32x4_t a, float32x4_t b, float32x4_t c) { return vfmaq_f32(c, a, b); }
// xsimd 8.1 divides floats on NEON by a refined estimate, which is not the IEEE quotient.
MOE_FORCE_INLINE float32x4_t div_register(float32x4_t a, float32x4_t b) { return vdivq_f32(a, b); }
// x86 semantics: the second operand if the comparison is false (NaN, equal zeros).
MOE_FORCE_INLINE float32x4_t max_register(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
MOE_FORCE_INLINE float32x4_t min_register(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
MOE_FORCE_INLINE float32x4_t round_even_register(float32x4_t a) { return vrndnq_f32(a); }
MOE_FORCE_INLINE int32x4_t to_int_register(float32x4_t a) { return vcvtnq_s32_f32(a); }
MOE_FORCE_INLINE float32x4_t to_float_register(int32x4_t a) { return vcvtq_f32_s32(a); }
MOE_FORCE_INLINE float32x4_t abs_register(float32x4_t a) { return vabsq_f32(a); }
#endif

// ---------------------------------------------------------------------------------------------------------------------
// The same on 16 lanes.

#define MOE_EACH_REGISTER(expression)                        \
  for (int i = 0; i < Lanes<float, Arch>::kRegisters; ++i) { \
    expression;                                              \
  }

template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> load(const float* p) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = (Register<float, Arch>::load_unaligned(p + i * Lanes<float, Arch>::kWidth)))
  return out;
}
template <class Arch>
MOE_FORCE_INLINE void store(float* p, const Lanes<float, Arch>& a) {
  MOE_EACH_REGISTER(a.r[i].store_unaligned(p + i * Lanes<float, Arch>::kWidth))
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> broadcast(float x) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = (Register<float, Arch>(x)))
  return out;
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> fma(const Lanes<float, Arch>& a, const Lanes<float, Arch>& b,
                                        const Lanes<float, Arch>& c) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = (Register<float, Arch>(fma_register(a.r[i], b.r[i], c.r[i]))))
  return out;
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> mul(const Lanes<float, Arch>& a, const Lanes<float, Arch>& b) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = a.r[i] * b.r[i])
  return out;
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> add(const Lanes<float, Arch>& a, const Lanes<float, Arch>& b) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = a.r[i] + b.r[i])
  return out;
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> sub(const Lanes<float, Arch>& a, const Lanes<float, Arch>& b) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = a.r[i] - b.r[i])
  return out;
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> div(const Lanes<float, Arch>& a, const Lanes<float, Arch>& b) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = (Register<float, Arch>(div_register(a.r[i], b.r[i]))))
  return out;
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> max(const Lanes<float, Arch>& a, const Lanes<float, Arch>& b) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = (Register<float, Arch>(max_register(a.r[i], b.r[i]))))
  return out;
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> min(const Lanes<float, Arch>& a, const Lanes<float, Arch>& b) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = (Register<float, Arch>(min_register(a.r[i], b.r[i]))))
  return out;
}
/// out[c * 16 + r] = rows[r][c] for 16 x 16 values.
template <class Arch>
MOE_FORCE_INLINE void transpose_16x16(const float* const (&rows)[16], float* out) {
#ifdef __AVX512F__
  transpose_register_16x16(rows, out);
#else
  for (int r = 0; r < 16; ++r)
    for (int c = 0; c < 16; ++c) out[c * 16 + r] = rows[r][c];
#endif
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> abs(const Lanes<float, Arch>& a) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = (Register<float, Arch>(abs_register(a.r[i]))))
  return out;
}
/// Nearest integer, ties to even, as a float.
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> round_even(const Lanes<float, Arch>& a) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = (Register<float, Arch>(round_even_register(a.r[i]))))
  return out;
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> to_float(const Lanes<std::int32_t, Arch>& a) {
  Lanes<float, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = (Register<float, Arch>(to_float_register(a.r[i]))))
  return out;
}
/// Nearest integer, ties to even.
template <class Arch>
MOE_FORCE_INLINE Lanes<std::int32_t, Arch> to_int(const Lanes<float, Arch>& a) {
  Lanes<std::int32_t, Arch> out;
  MOE_EACH_REGISTER(out.r[i] = (Register<std::int32_t, Arch>(to_int_register(a.r[i]))))
  return out;
}

template <class Arch>
MOE_FORCE_INLINE void store_int(std::int32_t* p, const Lanes<std::int32_t, Arch>& a) {
  MOE_EACH_REGISTER(a.r[i].store_unaligned(p + i * Lanes<float, Arch>::kWidth))
}

#undef MOE_EACH_REGISTER

}  // namespace moe::inline MOE_ABI::kernels

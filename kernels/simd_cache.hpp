#pragma once
// Cache values to 16 float lanes and back: raw intrinsics for the key/value cache; all others are in simd.hpp.

#include <cstdint>

#include "kernels/lanes_math.hpp"
#include "kernels/simd.hpp"
#include "moe/detail/quant/half.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Tags of the cache's types: storage and conversion. Values with scales are codes; a scale serves kKvBlock of them.
struct CacheF32 {
  using Value = float;
  static constexpr bool kScaled = false;
};
struct CacheF16 {
  using Value = std::uint16_t;
  static constexpr bool kScaled = false;
};
struct CacheBf16 {
  using Value = std::uint16_t;
  static constexpr bool kScaled = false;
};
struct CacheQ8 {
  using Value = std::int8_t;
  static constexpr bool kScaled = true;
};

template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> load_cache(CacheF32, const float* p) {
  return load<Arch>(p);
}

#if defined(__x86_64__)
#ifdef __AVX512F__
MOE_FORCE_INLINE void widen_f16(const std::uint16_t* p, __m512* r) {
  r[0] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
MOE_FORCE_INLINE void widen_bf16(const std::uint16_t* p, __m512* r) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  r[0] = _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
MOE_FORCE_INLINE void widen_i8(const std::int8_t* p, __m512* r) {
  r[0] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
MOE_FORCE_INLINE void narrow_f16(const __m512* r, std::uint16_t* p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(r[0], _MM_FROUND_TO_NEAREST_INT));
}
#endif
#if defined(__AVX2__) && defined(__F16C__)
MOE_FORCE_INLINE void widen_f16(const std::uint16_t* p, __m256* r) {
  for (int i = 0; i < 2; ++i) r[i] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8 * i)));
}
MOE_FORCE_INLINE void widen_bf16(const std::uint16_t* p, __m256* r) {
  for (int i = 0; i < 2; ++i) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8 * i)));
    r[i] = _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
}
MOE_FORCE_INLINE void widen_i8(const std::int8_t* p, __m256* r) {
  for (int i = 0; i < 2; ++i)
    r[i] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8 * i))));
}
MOE_FORCE_INLINE void narrow_f16(const __m256* r, std::uint16_t* p) {
  for (int i = 0; i < 2; ++i)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8 * i), _mm256_cvtps_ph(r[i], _MM_FROUND_TO_NEAREST_INT));
}
#endif
#elif defined(__aarch64__)
MOE_FORCE_INLINE void widen_f16(const std::uint16_t* p, float32x4_t* r) {
  for (int i = 0; i < 4; ++i) r[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i)));
}
MOE_FORCE_INLINE void widen_bf16(const std::uint16_t* p, float32x4_t* r) {
  for (int i = 0; i < 4; ++i) r[i] = vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16));
}
MOE_FORCE_INLINE void widen_i8(const std::int8_t* p, float32x4_t* r) {
  for (int i = 0; i < 2; ++i) {
    const int16x8_t wide = vmovl_s8(vld1_s8(p + 8 * i));
    r[2 * i] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
    r[2 * i + 1] = vcvtq_f32_s32(vmovl_s16(vget_high_s16(wide)));
  }
}
MOE_FORCE_INLINE void narrow_f16(const float32x4_t* r, std::uint16_t* p) {
  for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(r[i])));
}
#endif

/// The ISA's register type in Register<float, Arch>.
template <class Arch>
using Native = typename Register<float, Arch>::register_type;

template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> from_native(const Native<Arch>* r) {
  Lanes<float, Arch> out;
  for (int i = 0; i < Lanes<float, Arch>::kRegisters; ++i) out.r[i] = Register<float, Arch>(r[i]);
  return out;
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> load_cache(CacheF16, const std::uint16_t* p) {
  Native<Arch> r[Lanes<float, Arch>::kRegisters];
  widen_f16(p, r);
  return from_native<Arch>(r);
}
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> load_cache(CacheBf16, const std::uint16_t* p) {
  Native<Arch> r[Lanes<float, Arch>::kRegisters];
  widen_bf16(p, r);
  return from_native<Arch>(r);
}

/// The codes alone.
template <class Arch>
MOE_FORCE_INLINE Lanes<float, Arch> load_cache(CacheQ8, const std::int8_t* p) {
  Native<Arch> r[Lanes<float, Arch>::kRegisters];
  widen_i8(p, r);
  return from_native<Arch>(r);
}

/// 16 values rounded to nearest even.
template <class Arch>
MOE_FORCE_INLINE void narrow_cache(CacheF16, const float* x, std::uint16_t* out) {
  const Lanes<float, Arch> v = load<Arch>(x);
  Native<Arch> r[Lanes<float, Arch>::kRegisters];
  for (int i = 0; i < Lanes<float, Arch>::kRegisters; ++i) r[i] = v.r[i];
  narrow_f16(r, out);
}
template <class Arch>
MOE_FORCE_INLINE void narrow_cache(CacheBf16, const float* x, std::uint16_t* out) {
  for (int i = 0; i < 16; ++i) out[i] = float_to_bf16(x[i]);
}

}  // namespace moe::inline MOE_ABI::kernels

#pragma once
// One register of lanes with the operations of the matrix products: bytes, integer dot products, widening. The other
// intrinsics are in simd.hpp. Everything is force-inlined.

#include <cstdint>
#include <cstring>

#include "kernels/simd.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Vector<Arch>: I holds kLanes int32 (or 4 * kLanes bytes), F holds kLanes float32. Every width has the same functions:
/// they look alike, but each intrinsic is another.
template <class Arch>
struct Vector;

#ifdef __AVX2__
/// Stores 32 signed bytes and the sums of their halves: as unsigned ones (+128) they add up in one instruction.
MOE_FORCE_INLINE void store_codes32(__m256i c, std::int8_t* codes, std::int16_t* sums) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), c);
  const __m256i s = _mm256_sad_epu8(_mm256_xor_si256(c, _mm256_set1_epi8(-128)), _mm256_setzero_si256());
  const __m256i whole = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0x4e));
  sums[0] = static_cast<std::int16_t>(_mm_cvtsi128_si32(_mm256_castsi256_si128(whole)) - 16 * 128);
  sums[1] = static_cast<std::int16_t>(_mm_cvtsi128_si32(_mm256_extracti128_si256(whole, 1)) - 16 * 128);
}
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__)
struct Vector512 {
  using I = __m512i;
  using F = __m512;
  static constexpr int kLanes = 16;

  MOE_FORCE_INLINE static I load(const void* p) { return _mm512_loadu_si512(p); }
  MOE_FORCE_INLINE static I zero() { return _mm512_setzero_si512(); }
  MOE_FORCE_INLINE static I set32(std::int32_t x) { return _mm512_set1_epi32(x); }
  MOE_FORCE_INLINE static I set8(std::int8_t x) { return _mm512_set1_epi8(x); }
  MOE_FORCE_INLINE static I broadcast4(const void* p) {
    std::int32_t x;
    std::memcpy(&x, p, 4);
    return _mm512_set1_epi32(x);
  }
  MOE_FORCE_INLINE static I broadcast16(const void* p) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  MOE_FORCE_INLINE static void store(void* p, I a) { _mm512_storeu_si512(p, a); }
  MOE_FORCE_INLINE static I lookup(I table, I nibbles) { return _mm512_shuffle_epi8(table, nibbles); }
  /// table[c & 63] where bit 6 of c is set, else 0.
  MOE_FORCE_INLINE static I lookup64(const std::uint8_t* table, I c) {
    // The addition moves bit 6, inverted, to bit 7, where it makes a look-up 0.
    const I index = _mm512_add_epi8(_mm512_and_si512(c, set8(0x4f)), set8(-0x40));
    const __mmask64 second = _mm512_test_epi8_mask(c, set8(0x10)), upper = _mm512_test_epi8_mask(c, set8(0x20));
    const I low = _mm512_mask_shuffle_epi8(lookup(broadcast16(table), index), second, broadcast16(table + 16), index);
    const I high =
        _mm512_mask_shuffle_epi8(lookup(broadcast16(table + 32), index), second, broadcast16(table + 48), index);
    return _mm512_mask_blend_epi8(upper, low, high);
  }
  MOE_FORCE_INLINE static I and_(I a, I b) { return _mm512_and_si512(a, b); }
  MOE_FORCE_INLINE static I or_(I a, I b) { return _mm512_or_si512(a, b); }
  /// a | (b & mask)
  MOE_FORCE_INLINE static I or_masked(I a, I b, I mask) { return _mm512_ternarylogic_epi32(a, b, mask, 0xf8); }
  MOE_FORCE_INLINE static I shift_right16(I a, int n) { return _mm512_srli_epi16(a, static_cast<unsigned>(n)); }
  MOE_FORCE_INLINE static I shift_left16(I a, int n) { return _mm512_slli_epi16(a, static_cast<unsigned>(n)); }
  MOE_FORCE_INLINE static I shift_right32(I a, int n) { return _mm512_srli_epi32(a, static_cast<unsigned>(n)); }
  MOE_FORCE_INLINE static I shift_left32(I a, int n) { return _mm512_slli_epi32(a, static_cast<unsigned>(n)); }
  MOE_FORCE_INLINE static I add32(I a, I b) { return _mm512_add_epi32(a, b); }
  MOE_FORCE_INLINE static I sub32(I a, I b) { return _mm512_sub_epi32(a, b); }
  MOE_FORCE_INLINE static I add16(I a, I b) { return _mm512_add_epi16(a, b); }
  MOE_FORCE_INLINE static I add8(I a, I b) { return _mm512_add_epi8(a, b); }
  MOE_FORCE_INLINE static I sub8(I a, I b) { return _mm512_sub_epi8(a, b); }
  /// Adjacent products u8 * s8, added in pairs with saturation to int16.
  MOE_FORCE_INLINE static I mul_pairs8(I u, I s) { return _mm512_maddubs_epi16(u, s); }
  MOE_FORCE_INLINE static I add_pairs16(I a) { return _mm512_madd_epi16(a, _mm512_set1_epi16(1)); }
  /// u - 128 as signed bytes; |w|; and a with the sign of w (where w is 0 the value does not matter).
  MOE_FORCE_INLINE static I sub8_128(I u) { return _mm512_xor_si512(u, _mm512_set1_epi8(-128)); }
  MOE_FORCE_INLINE static I abs8(I w) { return _mm512_abs_epi8(w); }
  MOE_FORCE_INLINE static I with_sign8(I a, I w) {
    return _mm512_mask_sub_epi8(a, _mm512_movepi8_mask(w), _mm512_setzero_si512(), a);
  }
  MOE_FORCE_INLINE static I load_u8(const void* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  MOE_FORCE_INLINE static I load_i8(const void* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  MOE_FORCE_INLINE static F load_f16(const void* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  MOE_FORCE_INLINE static F load_bf16(const void* p) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p))), 16));
  }
  MOE_FORCE_INLINE static F loadf(const float* p) { return _mm512_loadu_ps(p); }
  MOE_FORCE_INLINE static void storef(float* p, F a) { _mm512_storeu_ps(p, a); }
  MOE_FORCE_INLINE static F setf(float x) { return _mm512_set1_ps(x); }
  MOE_FORCE_INLINE static F broadcastf(const void* p) {
    float x;
    std::memcpy(&x, p, 4);
    return _mm512_set1_ps(x);
  }
  MOE_FORCE_INLINE static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  MOE_FORCE_INLINE static F add(F a, F b) { return _mm512_add_ps(a, b); }
  MOE_FORCE_INLINE static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  MOE_FORCE_INLINE static F negate(F a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
  MOE_FORCE_INLINE static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  MOE_FORCE_INLINE static F to_float(I a) { return _mm512_cvtepi32_ps(a); }
  MOE_FORCE_INLINE static F as_float(I a) { return _mm512_castsi512_ps(a); }
  MOE_FORCE_INLINE static I to_int(F a) { return _mm512_cvtps_epi32(a); }
  MOE_FORCE_INLINE static F round_even(F a) { return round_even_register(a); }
  MOE_FORCE_INLINE static F abs(F a) { return abs_register(a); }
  /// The second operand where the comparison is false (a NaN in the first).
  MOE_FORCE_INLINE static F max(F a, F b) { return max_register(a, b); }
  MOE_FORCE_INLINE static F min(F a, F b) { return min_register(a, b); }
  MOE_FORCE_INLINE static float largest(F a) { return _mm512_reduce_max_ps(a); }
  /// 32 lanes within [-128, 127] as bytes, and the sums of their halves.
  MOE_FORCE_INLINE static void store_codes(const I (&n)[2], std::int8_t* codes, std::int16_t* sums) {
    store_codes32(
        _mm256_inserti128_si256(_mm256_castsi128_si256(_mm512_cvtepi32_epi8(n[0])), _mm512_cvtepi32_epi8(n[1]), 1),
        codes, sums);
  }
};
template <>
struct Vector<Avx512> : Vector512 {};
template <>
struct Vector<Avx512Vnni> : Vector512 {
#ifdef __AVX512VNNI__
  MOE_FORCE_INLINE static I dot8(I acc, I u, I s) { return _mm512_dpbusd_epi32(acc, u, s); }
#endif
};
template <>
struct Vector<Avx512Vbmi> : Vector<Avx512Vnni> {
#ifdef __AVX512VBMI__
  /// table[c & 127], subtracted from 0 where bit 7 of c is set.
  MOE_FORCE_INLINE static I lookup128(const std::uint8_t* table, I c) {
    const I found = _mm512_permutex2var_epi8(load(table), c, load(table + 64));
    return _mm512_mask_sub_epi8(found, _mm512_movepi8_mask(c), zero(), found);
  }
#endif
};
template <>
struct Vector<Amx> : Vector512 {};
#endif

#if defined(__AVX2__)
template <>
struct Vector<Avx2> {
  using I = __m256i;
  using F = __m256;
  static constexpr int kLanes = 8;

  MOE_FORCE_INLINE static I load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  MOE_FORCE_INLINE static I zero() { return _mm256_setzero_si256(); }
  MOE_FORCE_INLINE static I set32(std::int32_t x) { return _mm256_set1_epi32(x); }
  MOE_FORCE_INLINE static I set8(std::int8_t x) { return _mm256_set1_epi8(x); }
  MOE_FORCE_INLINE static I broadcast4(const void* p) {
    std::int32_t x;
    std::memcpy(&x, p, 4);
    return _mm256_set1_epi32(x);
  }
  MOE_FORCE_INLINE static I broadcast16(const void* p) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  MOE_FORCE_INLINE static void store(void* p, I a) { _mm256_storeu_si256(static_cast<__m256i*>(p), a); }
  MOE_FORCE_INLINE static I lookup(I table, I nibbles) { return _mm256_shuffle_epi8(table, nibbles); }
  MOE_FORCE_INLINE static I lookup64(const std::uint8_t* table, I c) {
    const I index = _mm256_add_epi8(_mm256_and_si256(c, set8(0x4f)), set8(-0x40));
    const I second = _mm256_slli_epi16(c, 3), upper = _mm256_slli_epi16(c, 2);  // the bits in each byte's sign
    const I low = _mm256_blendv_epi8(lookup(broadcast16(table), index), lookup(broadcast16(table + 16), index), second);
    const I high =
        _mm256_blendv_epi8(lookup(broadcast16(table + 32), index), lookup(broadcast16(table + 48), index), second);
    return _mm256_blendv_epi8(low, high, upper);
  }
  MOE_FORCE_INLINE static I and_(I a, I b) { return _mm256_and_si256(a, b); }
  MOE_FORCE_INLINE static I or_(I a, I b) { return _mm256_or_si256(a, b); }
  MOE_FORCE_INLINE static I or_masked(I a, I b, I mask) { return _mm256_or_si256(a, _mm256_and_si256(b, mask)); }
  MOE_FORCE_INLINE static I shift_right16(I a, int n) { return _mm256_srli_epi16(a, n); }
  MOE_FORCE_INLINE static I shift_left16(I a, int n) { return _mm256_slli_epi16(a, n); }
  MOE_FORCE_INLINE static I shift_right32(I a, int n) { return _mm256_srli_epi32(a, n); }
  MOE_FORCE_INLINE static I shift_left32(I a, int n) { return _mm256_slli_epi32(a, n); }
  MOE_FORCE_INLINE static I add32(I a, I b) { return _mm256_add_epi32(a, b); }
  MOE_FORCE_INLINE static I sub32(I a, I b) { return _mm256_sub_epi32(a, b); }
  MOE_FORCE_INLINE static I add16(I a, I b) { return _mm256_add_epi16(a, b); }
  MOE_FORCE_INLINE static I add8(I a, I b) { return _mm256_add_epi8(a, b); }
  MOE_FORCE_INLINE static I sub8(I a, I b) { return _mm256_sub_epi8(a, b); }
  MOE_FORCE_INLINE static I mul_pairs8(I u, I s) { return _mm256_maddubs_epi16(u, s); }
  MOE_FORCE_INLINE static I add_pairs16(I a) { return _mm256_madd_epi16(a, _mm256_set1_epi16(1)); }
  MOE_FORCE_INLINE static I sub8_128(I u) { return _mm256_xor_si256(u, _mm256_set1_epi8(-128)); }
  MOE_FORCE_INLINE static I abs8(I w) { return _mm256_abs_epi8(w); }
  MOE_FORCE_INLINE static I with_sign8(I a, I w) { return _mm256_sign_epi8(a, w); }
  MOE_FORCE_INLINE static I load_u8(const void* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  }
  MOE_FORCE_INLINE static I load_i8(const void* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  }
  MOE_FORCE_INLINE static F load_f16(const void* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  MOE_FORCE_INLINE static F load_bf16(const void* p) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))), 16));
  }
  MOE_FORCE_INLINE static F loadf(const float* p) { return _mm256_loadu_ps(p); }
  MOE_FORCE_INLINE static void storef(float* p, F a) { _mm256_storeu_ps(p, a); }
  MOE_FORCE_INLINE static F setf(float x) { return _mm256_set1_ps(x); }
  MOE_FORCE_INLINE static F broadcastf(const void* p) { return _mm256_castsi256_ps(broadcast4(p)); }
  MOE_FORCE_INLINE static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  MOE_FORCE_INLINE static F add(F a, F b) { return _mm256_add_ps(a, b); }
  MOE_FORCE_INLINE static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  MOE_FORCE_INLINE static F negate(F a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
  MOE_FORCE_INLINE static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  MOE_FORCE_INLINE static F to_float(I a) { return _mm256_cvtepi32_ps(a); }
  MOE_FORCE_INLINE static F as_float(I a) { return _mm256_castsi256_ps(a); }
  MOE_FORCE_INLINE static I to_int(F a) { return _mm256_cvtps_epi32(a); }
  MOE_FORCE_INLINE static F round_even(F a) { return round_even_register(a); }
  MOE_FORCE_INLINE static F abs(F a) { return abs_register(a); }
  /// The second operand where the comparison is false (a NaN in the first).
  MOE_FORCE_INLINE static F max(F a, F b) { return max_register(a, b); }
  MOE_FORCE_INLINE static F min(F a, F b) { return min_register(a, b); }
  MOE_FORCE_INLINE static float largest(F a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_shuffle_ps(m, m, 1));
    return _mm_cvtss_f32(m);
  }
  MOE_FORCE_INLINE static void store_codes(const I (&n)[4], std::int8_t* codes, std::int16_t* sums) {
    const __m256i words = _mm256_packs_epi16(_mm256_packs_epi32(n[0], n[1]), _mm256_packs_epi32(n[2], n[3]));
    // Packing works in halves of the register: 4 lanes of each argument in turn.
    store_codes32(_mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)), codes, sums);
  }
};
#endif

/// Four products u8 * s8 per lane, summed exactly in int32 over a block. kMaxCode bounds the unsigned codes: without a
/// dot instruction, sums of two products wait in int16 as long as they fit (|activation| <= 127).
template <class Arch, int kMaxCode>
struct BlockDot {
  using V = Vector<Arch>;
  static constexpr int kFit = kMaxCode > 127 ? 1 : 32767 / (2 * 127 * kMaxCode);

  typename V::I sum, waiting;

  MOE_FORCE_INLINE void start(typename V::I from) {
    sum = from;
    waiting = V::zero();
  }
  /// Group `g` of `count`; the calls of one block run from 0 to count - 1.
  MOE_FORCE_INLINE void add(typename V::I codes, typename V::I a, int g, int count) {
    const typename V::I products = V::mul_pairs8(codes, a);
    waiting = g % kFit == 0 ? products : V::add16(waiting, products);
    if (g % kFit == kFit - 1 || g == count - 1) sum = V::add32(sum, V::add_pairs16(waiting));
  }
};

#ifdef __AVX512VNNI__
template <class Arch, int kMaxCode>
requires requires { &Vector<Arch>::dot8; }
struct BlockDot<Arch, kMaxCode> {
  using V = Vector<Arch>;
  typename V::I sum;
  MOE_FORCE_INLINE void start(typename V::I from) { sum = from; }
  MOE_FORCE_INLINE void add(typename V::I codes, typename V::I a, int, int) { sum = V::dot8(sum, codes, a); }
};
#endif

}  // namespace moe::inline MOE_ABI::kernels

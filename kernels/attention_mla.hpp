#pragma once
// MLA attention in the absorbed form: one latent row [key_dim] per key for all heads; its first value_dim numbers are
// the value. A call has many queries (heads x tokens), so lanes are queries: keys are broadcast without a transpose,
// the softmax needs no work across lanes, and only the queries are transposed, once.

#include <cstdint>
#include <limits>

#include "kernels/attention_tile.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Scratch of a group of up to 48 queries (floats of the caller's scratch).
struct MlaScratch {
  float* keys;     // [64, round_up_16(key_dim)] widened
  float* q;        // [3, key_dim, 16]: queries transposed, 16 per slice
  float* o;        // [48, round_up_16(value_dim)]
  float* weights;  // [64, 48] scores, then p
  float* alpha;    // [48]
  float* m;        // [48]
  float* l;        // [48]
  float* visible;  // [48] keys of the block that a query sees
};

/// weights[j, lane] = scale * sum_d q[slice, d, lane] * keys[j, d] for kSlices x 16 queries and keys [0, count).
/// A key's broadcast serves all slices. 24 chains hide the latency of fma on AVX-512, 4 pairs of registers on AVX2, 4
/// quadruples on NEON.
template <class Arch, int kSlices, int kKeys>
MOE_FORCE_INLINE void mla_score_tile(const float* q, const float* keys, std::int64_t key_stride, std::int64_t key_dim,
                                     int count, float scale, float* weights) {
  for (int first = 0; first < count; first += kKeys) {
    Lanes<float, Arch> acc[kSlices][kKeys];
#pragma GCC unroll 4
    for (int s = 0; s < kSlices; ++s)
#pragma GCC unroll 16
      for (int j = 0; j < kKeys; ++j) acc[s][j] = broadcast<Arch>(0.0f);
    const float* row = keys + first * key_stride;
    for (std::int64_t d = 0; d < key_dim; ++d) {
      Lanes<float, Arch> x[kSlices];
#pragma GCC unroll 4
      for (int s = 0; s < kSlices; ++s) x[s] = load<Arch>(q + (s * key_dim + d) * 16);
#pragma GCC unroll 16
      for (int j = 0; j < kKeys; ++j) {
        const Lanes<float, Arch> key = broadcast<Arch>(row[j * key_stride + d]);
#pragma GCC unroll 4
        for (int s = 0; s < kSlices; ++s) acc[s][j] = fma<Arch>(x[s], key, acc[s][j]);
      }
    }
#pragma GCC unroll 4
    for (int s = 0; s < kSlices; ++s)
#pragma GCC unroll 16
      for (int j = 0; j < kKeys; ++j)
        store<Arch>(weights + (first + j) * kQueryGroup + 16 * s, mul<Arch>(acc[s][j], broadcast<Arch>(scale)));
  }
}

template <class Arch>
MOE_FORCE_INLINE void mla_scores(const float* q, const float* keys, std::int64_t key_stride, std::int64_t key_dim,
                                 int count, int queries, float scale, float* weights) {
  if constexpr (Lanes<float, Arch>::kRegisters == 1) {
    if (queries > 16) return mla_score_tile<Arch, 3, 8>(q, keys, key_stride, key_dim, count, scale, weights);
    mla_score_tile<Arch, 1, 16>(q, keys, key_stride, key_dim, count, scale, weights);
  } else {
    for (int i = 0; i < queries; i += 16)
      mla_score_tile<Arch, 1, 4>(q + i * key_dim, keys, key_stride, key_dim, count, scale, weights + i);
  }
}

/// The running softmax of 16 queries over keys [0, count): a query that sees none keeps m, l and gets alpha = 1.
template <class Arch>
MOE_FORCE_INLINE void mla_softmax(float* weights, int count, const float* visible, float* alpha, float* m, float* l) {
  const Lanes<float, Arch> minus_infinity = broadcast<Arch>(-std::numeric_limits<float>::infinity());
  const Lanes<float, Arch> seen = load<Arch>(visible), m_old = load<Arch>(m);
  Lanes<float, Arch> m_new = m_old;
  for (int j = 0; j < count; ++j) {
    float* row = weights + j * kQueryGroup;
    const Lanes<float, Arch> position = broadcast<Arch>(static_cast<float>(j));
    const Lanes<float, Arch> s = select_less<Arch>(position, seen, load<Arch>(row), minus_infinity);
    store<Arch>(row, s);
    m_new = max<Arch>(m_new, s);
  }
  Lanes<float, Arch> partial[16];
  for (int i = 0; i < 16; ++i) partial[i] = broadcast<Arch>(0.0f);
  for (int j = 0; j < count; ++j) {
    float* row = weights + j * kQueryGroup;
    const Lanes<float, Arch> p = exp<Arch>(sub<Arch>(load<Arch>(row), m_new));
    store<Arch>(row, p);
    partial[j % 16] = add<Arch>(partial[j % 16], p);
  }
  for (int step = 8; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) partial[i] = add<Arch>(partial[i], partial[i + step]);
  const Lanes<float, Arch> factor = exp<Arch>(sub<Arch>(m_old, m_new));
  store<Arch>(alpha, factor);
  store<Arch>(l, fma<Arch>(load<Arch>(l), factor, partial[0]));
  store<Arch>(m, m_new);
}

/// Queries [first, first + queries) as [key_dim, 16] per 16; missing ones are zeros that see no key. All three slices
/// are written when there is more than one: the scores of a group run over all of them.
template <class Arch>
MOE_FORCE_INLINE void mla_transpose(const Attention& a, std::int64_t first, int queries, float* out) {
  const int slices = queries > 16 ? kQueryGroup : 16;
  for (int slice = 0; slice < slices; slice += 16, out += a.key_dim * 16) {
    std::int64_t d = 0;
    for (; slice + 16 <= queries && d + 16 <= a.key_dim; d += 16) {
      const float* rows[16];
      for (int lane = 0; lane < 16; ++lane) rows[lane] = a.q + (first + slice + lane) * a.q_stride + d;
      transpose_16x16<Arch>(rows, out + d * 16);
    }
    for (int lane = 0; lane < 16; ++lane) {
      const bool present = slice + lane < queries;
      const float* q = a.q + (first + slice + lane) * a.q_stride;
      for (std::int64_t i = d; i < a.key_dim; ++i) out[i * 16 + lane] = present ? q[i] : 0.0f;
    }
  }
}

/// One widened block for all queries of a group.
template <class Arch>
void mla_block(const Attention& a, std::int64_t first, int queries, std::int64_t block, int count, std::int64_t stride,
               const MlaScratch& s) noexcept {
  const std::int64_t width = round_up_16(a.value_dim);
  int counts[kQueryGroup];
  for (int i = 0; i < queries; ++i) counts[i] = visible_keys(a.last_position[first + i], block * kKeyBlock);
  for (int i = 0; i < kQueryGroup; ++i) s.visible[i] = i < queries ? static_cast<float>(counts[i]) : 0.0f;
  mla_scores<Arch>(s.q, s.keys, stride, a.key_dim, count, queries, a.scale, s.weights);
  for (int i = 0; i < queries; i += 16) {
    mla_softmax<Arch>(s.weights + i, count, s.visible + i, s.alpha + i, s.m + i, s.l + i);
  }
  // 64 dims of 64 values (16 KB) stay in the L1 cache while all queries use them.
  constexpr std::int64_t kDims = 64;
  for (std::int64_t d = 0; d < width; d += kDims) {
    const std::int64_t dims = width - d < kDims ? width - d : kDims;
    for (int i = 0; i < queries; i += kQueryTile) {
      const int tile = queries - i < kQueryTile ? queries - i : kQueryTile;
      const ValueTile v{s.weights + i, 1, kQueryGroup, s.alpha + i, 0, 0, s.o + i * width + d, width};
      add_values<Arch, CacheF32>(v, tile, counts + i, {s.keys + d, stride}, dims);
    }
  }
}

/// The key in `slot` of a block to float32. The rotated part of q8_0 is written last and ends at key_dim: what follows are
/// other rows.
template <class Arch, class Type>
MOE_FORCE_INLINE void mla_widen_key(const Attention& a, const typename Type::Value* block, std::int64_t slot,
                                    float* out) {
  if constexpr (Type::kScaled) {
    const std::int64_t rotated = a.key_dim - a.value_dim;
    widen_coded_row<Arch, Type>(block + slot * a.value_dim,
                                scales_of(block, a.value_dim) + slot * kv_scales(a.value_dim), a.value_dim, out);
    const auto* in = reinterpret_cast<const std::uint16_t*>(block + mla_rope_offset(a.value_dim)) + slot * rotated;
    for_lanes(rotated, [&](std::int64_t d, std::int64_t n) MOE_INLINE_LAMBDA {
      const auto wide = n == 16 ? load_cache<Arch>(CacheF16{}, in + d) : load_cache_part<Arch, CacheF16>(in + d, n);
      store_up_to<Arch>(out + a.value_dim + d, n, wide);
    });
  } else {
    widen_rows<Arch, Type>(block + slot * a.key_dim, 1, a.key_dim, out, 0);
  }
}

/// Keys [0, count) of block `block`, or of as many chosen ones, to rows round_up_16(key_dim) apart.
template <class Arch, class Type>
MOE_FORCE_INLINE void mla_widen(const Attention& a, std::int64_t block, int count, float* out) {
  const std::int64_t stride = round_up_16(a.key_dim);
  const auto keys = [&](std::int64_t b) { return static_cast<const typename Type::Value*>(a.key_blocks[b]); };
  for (int j = 0; j < count; ++j) {
    const std::int64_t place = block * kKeyBlock + j, position = a.chosen == nullptr ? place : a.chosen[place];
    mla_widen_key<Arch, Type>(a, keys(position / kKeyBlock), position % kKeyBlock, out + j * stride);
  }
}

template <class Arch, class Type>
void mla_group(const Attention& a, std::int64_t first, int queries, const MlaScratch& s) noexcept {
  const std::int64_t width = round_up_16(a.value_dim), stride = round_up_16(a.key_dim);
  for (int i = 0; i < kQueryGroup; ++i) s.m[i] = -std::numeric_limits<float>::infinity(), s.l[i] = 0.0f;
  for (std::int64_t i = 0; i < queries * width; ++i) s.o[i] = 0.0f;
  mla_transpose<Arch>(a, first, queries, s.q);

  const std::int64_t last = a.last_position[first + queries - 1];
  for (std::int64_t block = 0; block * kKeyBlock <= last; ++block) {
    const int count = visible_keys(last, block * kKeyBlock);
    mla_widen<Arch, Type>(a, block, count, s.keys);
    mla_block<Arch>(a, first, queries, block, count, stride, s);
  }
  for (int i = 0; i < queries; ++i) {
    float* out = a.out + (first + i) * a.out_stride;
    const Lanes<float, Arch> l = broadcast<Arch>(s.l[i]);
    for_lanes(a.value_dim, [&](std::int64_t d, std::int64_t n) MOE_INLINE_LAMBDA {
      store_up_to<Arch>(out + d, n, div<Arch>(load<Arch>(s.o + i * width + d), l));
    });
  }
}

template <class Arch>
void attention_mla(const Attention& a) noexcept {
  const std::int64_t width = round_up_16(a.value_dim), stride = round_up_16(a.key_dim);
  MlaScratch s;
  s.keys = a.scratch;
  s.q = s.keys + kKeyBlock * stride;
  s.o = s.q + kQueryGroup * a.key_dim;
  s.weights = s.o + kQueryGroup * width;
  s.alpha = s.weights + kQueryGroup * kKeyBlock;
  s.m = s.alpha + kQueryGroup;
  s.l = s.m + kQueryGroup;
  s.visible = s.l + kQueryGroup;
  for (std::int64_t first = 0; first < a.query_count; first += kQueryGroup) {
    const std::int64_t rest = a.query_count - first;
    const int queries = static_cast<int>(rest < kQueryGroup ? rest : kQueryGroup);
    switch (a.cache_type) {  // as attention_gqa(), but of other groups and scratch: a shared loop would be no shorter
      case KvType::f32: mla_group<Arch, CacheF32>(a, first, queries, s); break;
      case KvType::f16: mla_group<Arch, CacheF16>(a, first, queries, s); break;
      case KvType::bf16: mla_group<Arch, CacheBf16>(a, first, queries, s); break;
      case KvType::q8_0: mla_group<Arch, CacheQ8>(a, first, queries, s); break;
    }
  }
}

}  // namespace moe::inline MOE_ABI::kernels

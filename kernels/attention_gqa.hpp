#pragma once
// Grouped-query attention: keys [key_dim, 64] per block (lanes are keys), values [64, value_dim].
// Queries run in groups of up to 48. A group walks the blocks once; few queries (decode) convert 16-bit keys and values
// in registers, many (prefill) share one widened copy in scratch.

#include <cstdint>
#include <limits>

#include "kernels/attention_tile.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Where a group keeps its numbers (floats of the caller's scratch).
struct GqaScratch {
  float* keys;     // [key_dim, 64] widened
  float* values;   // [64, round_up_16(value_dim)] widened
  float* o;        // [48, round_up_16(value_dim)]
  float* weights;  // [48, 64] scores, then p
  float* alpha;    // [48]
  float* m;        // [48]
  float* l;        // [48]
};

/// Scores of one query to weights: p = exp(s - m'), masked (outside [begin, count)) +0; updates m and l, returns alpha.
template <class Arch>
MOE_FORCE_INLINE float block_softmax(float* s, int begin, int count, float& m, float& l) {
  constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
  for (int j = 0; j < begin; ++j) s[j] = kMinusInfinity;
  for (int j = count; j < kKeyBlock; ++j) s[j] = kMinusInfinity;
  Lanes<float, Arch> x[4];
#pragma GCC unroll 16
  for (int c = 0; c < 4; ++c) x[c] = load<Arch>(s + 16 * c);
  const float high = largest<Arch>(max<Arch>(max<Arch>(x[0], x[1]), max<Arch>(x[2], x[3])));
  const float m_new = m > high ? m : high;
  Lanes<float, Arch> partial = broadcast<Arch>(0.0f);
#pragma GCC unroll 16
  for (int c = 0; c < 4; ++c) {
    const Lanes<float, Arch> p = exp<Arch>(sub<Arch>(x[c], broadcast<Arch>(m_new)));
    store<Arch>(s + 16 * c, p);
    partial = add<Arch>(partial, p);
  }
  const float alpha = detail::exp(m - m_new);
  l = detail::fma(l, alpha, tree_sum<Arch>(partial));
  m = m_new;
  return alpha;
}

/// One block for all queries of a group.
template <class Arch, class Type>
void gqa_block(const Attention& a, std::int64_t first, int queries, std::int64_t block,
               const typename Type::Value* keys, const typename Type::Value* values, std::int64_t v_stride,
               const GqaScratch& s) noexcept {
  const std::int64_t width = round_up_16(a.value_dim);
  for (int i = 0; i < queries; i += kQueryTile) {
    const int tile = queries - i < kQueryTile ? queries - i : kQueryTile;
    int begins[kQueryTile] = {}, counts[kQueryTile];
    bool any = false;
    for (int t = 0; t < tile; ++t) {
      counts[t] = visible_keys(a.last_position[first + i + t], block * kKeyBlock);
      if (a.first_position != nullptr) begins[t] = hidden_keys(a.first_position[first + i + t], block * kKeyBlock);
      any = any || begins[t] < counts[t];
    }
    if (!any) continue;
    float* weights = s.weights + i * kKeyBlock;
    const float* q = a.q + (first + i) * a.q_stride;
    with_tile_size(
        tile, [&](auto size) { score_tile<Arch, Type, size.value>(q, a.q_stride, keys, a.key_dim, a.scale, weights); });
    for (int t = 0; t < tile; ++t)
      if (begins[t] < counts[t])
        s.alpha[i + t] = block_softmax<Arch>(weights + t * kKeyBlock, begins[t], counts[t], s.m[i + t], s.l[i + t]);
    const ValueTile v{weights, kKeyBlock, 1, s.alpha + i, 0, 0, s.o + i * width, width};
    if (a.first_position == nullptr)
      add_values<Arch, Type>(v, tile, counts, values, v_stride, width);
    else
      add_windowed_values<Arch, Type>(v, tile, begins, counts, values, v_stride, width);
  }
}

template <class Arch, class Type>
void gqa_group(const Attention& a, std::int64_t first, int queries, const GqaScratch& s) noexcept {
  using Value = typename Type::Value;
  // Converting in registers costs once per tile, widening once per group plus a store and a load: 2 tiles break even.
  const bool ragged = a.value_dim % 16 != 0;
  const bool widen = ragged || (sizeof(Value) < sizeof(float) && queries > 2 * kQueryTile);
  const std::int64_t width = round_up_16(a.value_dim);
  for (int i = 0; i < queries; ++i) {
    s.m[i] = a.sinks != nullptr ? a.sinks[first + i] : -std::numeric_limits<float>::infinity();
    s.l[i] = a.sinks != nullptr ? 1.0f : 0.0f;
  }
  for (std::int64_t i = 0; i < queries * width; ++i) s.o[i] = 0.0f;

  const std::int64_t last = a.last_position[first + queries - 1];
  const std::int64_t seen = a.first_position != nullptr ? a.first_position[first] : 0;
  for (std::int64_t block = seen / kKeyBlock; block * kKeyBlock <= last; ++block) {
    const Value* keys = static_cast<const Value*>(a.key_blocks[block]);
    const Value* values = static_cast<const Value*>(a.value_blocks[block]);
    if (widen) {
      widen_rows<Arch, Type>(keys, a.key_dim, kKeyBlock, s.keys, kKeyBlock);
      widen_rows<Arch, Type>(values, visible_keys(last, block * kKeyBlock), a.value_dim, s.values, width);
      gqa_block<Arch, CacheF32>(a, first, queries, block, s.keys, s.values, width, s);
    } else {
      gqa_block<Arch, Type>(a, first, queries, block, keys, values, a.value_dim, s);
    }
  }
  for (int i = 0; i < queries; ++i) {
    float* out = a.out + (first + i) * a.out_stride;
    const Lanes<float, Arch> l = broadcast<Arch>(s.l[i]);
    for_lanes(a.value_dim, [&](std::int64_t d, std::int64_t count) MOE_INLINE_LAMBDA {
      store_up_to<Arch>(out + d, count, div<Arch>(load<Arch>(s.o + i * width + d), l));
    });
  }
}

template <class Arch>
void attention_gqa(const Attention& a) noexcept {
  const std::int64_t width = round_up_16(a.value_dim);
  GqaScratch s;
  s.keys = a.scratch;
  s.values = s.keys + kKeyBlock * a.key_dim;
  s.o = s.values + kKeyBlock * width;
  s.weights = s.o + kQueryGroup * width;
  s.alpha = s.weights + kQueryGroup * kKeyBlock;
  s.m = s.alpha + kQueryGroup;
  s.l = s.m + kQueryGroup;
  for (std::int64_t first = 0; first < a.query_count; first += kQueryGroup) {
    const std::int64_t rest = a.query_count - first;
    const int queries = static_cast<int>(rest < kQueryGroup ? rest : kQueryGroup);
    switch (a.cache_type) {
      case CacheType::f32: gqa_group<Arch, CacheF32>(a, first, queries, s); break;
      case CacheType::f16: gqa_group<Arch, CacheF16>(a, first, queries, s); break;
      case CacheType::bf16: gqa_group<Arch, CacheBf16>(a, first, queries, s); break;
    }
  }
}

}  // namespace moe::inline MOE_ABI::kernels

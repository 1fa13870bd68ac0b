#pragma once
// Grouped-query attention: keys [key_dim, 64] per block (lanes are keys), values [64, value_dim].
// Queries run in groups. A group walks the blocks once; few queries (decode) convert 8- and 16-bit keys and
// values in registers, many (prefill) share one widened copy in scratch.

#include <cstdint>
#include <limits>

#include "kernels/activation.hpp"
#include "kernels/attention_tile.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Scratch of a group (floats of the caller's scratch).
struct GqaScratch {
  float* keys;     // [key_dim, 64] widened
  float* values;   // [64, round_up_16(value_dim)] widened
  float* o;        // [kGqaGroup, round_up_16(value_dim)]
  float* weights;  // [kGqaGroup, 64] scores, then p
  float* alpha;    // [kGqaGroup]
  float* m;        // [kGqaGroup]
  float* l;        // [kGqaGroup]
};

/// Keys of one block that the queries of a group see: [begins[i], counts[i]), which may be empty.
struct VisibleKeys {
  int begins[kGqaGroup] = {};
  int counts[kGqaGroup];
  bool any(int i) const { return begins[i] < counts[i]; }
};

/// Scores of at most 16 queries to weights: p = exp(s - m'), masked +0; updates m and l, sets alpha. A query that sees
/// no key keeps its m and l. Values per query are computed for all queries at once.
template <class Arch>
MOE_FORCE_INLINE void block_softmax(const VisibleKeys& keys, int first, int queries, const GqaScratch& s) {
  constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
  float m[16] = {}, high[16], l[16] = {}, sum[16] = {}, alpha[16];
  for (int i = 0; i < 16; ++i) high[i] = kMinusInfinity;
  for (int i = 0; i < queries; ++i) {
    m[i] = s.m[first + i], l[i] = s.l[first + i];
    if (!keys.any(first + i)) continue;
    float* row = s.weights + (first + i) * kKeyBlock;
    for (int j = 0; j < keys.begins[first + i]; ++j) row[j] = kMinusInfinity;
    for (int j = keys.counts[first + i]; j < kKeyBlock; ++j) row[j] = kMinusInfinity;
    high[i] = largest<Arch>(max<Arch>(max<Arch>(load<Arch>(row), load<Arch>(row + 16)),
                                      max<Arch>(load<Arch>(row + 32), load<Arch>(row + 48))));
  }
  const Lanes<float, Arch> m_old = load<Arch>(m), m_new = max<Arch>(m_old, load<Arch>(high));
  store<Arch>(m, m_new);
  for (int i = 0; i < queries; ++i) {
    if (!keys.any(first + i)) continue;
    float* row = s.weights + (first + i) * kKeyBlock;
    const Lanes<float, Arch> high_of_row = broadcast<Arch>(m[i]);
    Lanes<float, Arch> partial = broadcast<Arch>(0.0f);
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const Lanes<float, Arch> p = exp<Arch>(sub<Arch>(load<Arch>(row + 16 * c), high_of_row));
      store<Arch>(row + 16 * c, p);
      partial = add<Arch>(partial, p);
    }
    sum[i] = tree_sum<Arch>(partial);
  }
  const Lanes<float, Arch> factor = exp<Arch>(sub<Arch>(m_old, m_new));
  store<Arch>(alpha, factor);
  store<Arch>(l, fma<Arch>(load<Arch>(l), factor, load<Arch>(sum)));
  for (int i = 0; i < queries; ++i)
    if (keys.any(first + i)) s.m[first + i] = m[i], s.l[first + i] = l[i], s.alpha[first + i] = alpha[i];
}

/// Soft-capping of the scores of queries that see a key of the block.
template <class Arch>
MOE_FORCE_INLINE void cap_scores(float cap, const VisibleKeys& keys, int queries, const GqaScratch& s) {
  for (int i = 0; i < queries; ++i)
    if (float* row = s.weights + i * kKeyBlock; keys.any(i)) soft_cap<Arch>(row, cap, kKeyBlock, row);
}

/// One block for all queries of a group: all scores while the keys are in the L1 cache, then all values.
template <class Arch, class Type>
void gqa_block(const Attention& a, std::int64_t first, int queries, std::int64_t block, const CacheTile<Type>& keys,
               const CacheTile<Type>& values, const GqaScratch& s) noexcept {
  const std::int64_t width = round_up_16(a.value_dim);
  VisibleKeys visible;
  for (int i = 0; i < queries; ++i) {
    visible.counts[i] = visible_keys(a.last_position[first + i], block * kKeyBlock);
    if (a.first_position != nullptr) visible.begins[i] = hidden_keys(a.first_position[first + i], block * kKeyBlock);
  }
  const auto each_tile = [&](auto&& f) MOE_INLINE_LAMBDA {
    for (int i = 0; i < queries; i += kQueryTile) {
      const int tile = queries - i < kQueryTile ? queries - i : kQueryTile;
      bool any = false;
      for (int t = i; t < i + tile; ++t) any = any || visible.any(t);
      if (any) f(i, tile);
    }
  };
  each_tile([&](int i, int tile) MOE_INLINE_LAMBDA {
    const float* q = a.q + (first + i) * a.q_stride;
    with_tile_size(tile, [&](auto size) {
      score_tile<Arch, Type, size.value>(q, a.q_stride, keys, a.key_dim, a.scale, s.weights + i * kKeyBlock);
    });
  });
  if (a.soft_cap > 0.0f) cap_scores<Arch>(a.soft_cap, visible, queries, s);
  for (int i = 0; i < queries; i += 16) block_softmax<Arch>(visible, i, queries - i < 16 ? queries - i : 16, s);
  each_tile([&](int i, int tile) MOE_INLINE_LAMBDA {
    const ValueTile v{s.weights + i * kKeyBlock, kKeyBlock, 1, s.alpha + i, 0, 0, s.o + i * width, width};
    if (a.first_position == nullptr)
      add_values<Arch, Type>(v, tile, visible.counts + i, values, width);
    else
      add_windowed_values<Arch, Type>(v, tile, visible.begins + i, visible.counts + i, values, width);
  });
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
      widen_keys<Arch, Type>(keys, a.key_dim, s.keys);
      widen_values<Arch, Type>(values, visible_keys(last, block * kKeyBlock), a.value_dim, s.values, width);
      gqa_block<Arch, CacheF32>(a, first, queries, block, {s.keys}, {s.values, width}, s);
    } else if constexpr (Type::kScaled) {  // the scales alone take the place of the widened block
      const std::int64_t key_scales = kv_scales(a.key_dim), value_scales = kv_scales(a.value_dim);
      widen_scales<Arch>(scales_of(keys, a.key_dim), key_scales * kKeyBlock, s.keys);
      widen_scales<Arch>(scales_of(values, a.value_dim), value_scales * kKeyBlock, s.values);
      gqa_block<Arch, Type>(a, first, queries, block, {keys, 0, s.keys}, {values, a.value_dim, s.values, value_scales},
                            s);
    } else {
      gqa_block<Arch, Type>(a, first, queries, block, {keys}, {values, a.value_dim}, s);
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
  s.weights = s.o + kGqaGroup * width;
  s.alpha = s.weights + kGqaGroup * kKeyBlock;
  s.m = s.alpha + kGqaGroup;
  s.l = s.m + kGqaGroup;
  for (std::int64_t first = 0; first < a.query_count; first += kGqaGroup) {
    const std::int64_t rest = a.query_count - first;
    const int queries = static_cast<int>(rest < kGqaGroup ? rest : kGqaGroup);
    switch (a.cache_type) {
      case KvType::f32: gqa_group<Arch, CacheF32>(a, first, queries, s); break;
      case KvType::f16: gqa_group<Arch, CacheF16>(a, first, queries, s); break;
      case KvType::bf16: gqa_group<Arch, CacheBf16>(a, first, queries, s); break;
      case KvType::q8_0: gqa_group<Arch, CacheQ8>(a, first, queries, s); break;
    }
  }
}

}  // namespace moe::inline MOE_ABI::kernels

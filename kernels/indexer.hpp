#pragma once
// The lightning indexer (DSA): scores of all keys for a few queries, lanes are keys. LayerNorm of its keys.

#include <cstdint>

#include "kernels/attention_tile.hpp"
#include "moe/detail/indexer.hpp"

namespace moe::inline MOE_ABI::kernels {

/// y = (x - mean) * (1 / sqrt(variance + eps)) * w + b over one row of n values; y may be x.
template <class Arch>
void layer_norm(const float* x, const float* w, const float* b, float eps, std::int64_t n, float* y) noexcept {
  Lanes<float, Arch> sum = broadcast<Arch>(0.0f), squares = broadcast<Arch>(0.0f);  // lane i holds p[i % 16]
  for_lanes(n, [&](std::int64_t i, std::int64_t count)
                   MOE_INLINE_LAMBDA { sum = add<Arch>(sum, load_up_to<Arch>(x + i, count)); });
  const Lanes<float, Arch> mean = broadcast<Arch>(tree_sum<Arch>(sum) / static_cast<float>(n));
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    store_up_to<Arch>(y + i, count, sub<Arch>(load_up_to<Arch>(x + i, count), mean));
    const Lanes<float, Arch> d = load_up_to<Arch>(y + i, count);  // zeros behind a tail
    squares = fma<Arch>(d, d, squares);
  });
  const float variance = tree_sum<Arch>(squares) / static_cast<float>(n);
  const Lanes<float, Arch> r = broadcast<Arch>(1.0f / __builtin_sqrtf(variance + eps));
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    const Lanes<float, Arch> scaled = mul<Arch>(load_up_to<Arch>(y + i, count), r);
    store_up_to<Arch>(y + i, count, fma<Arch>(scaled, load_up_to<Arch>(w + i, count), load_up_to<Arch>(b + i, count)));
  });
}

/// Scores of 64 keys, in columns, for one query: heads in tiles, whose weighted sum stays in registers.
template <class Arch, class Type>
MOE_FORCE_INLINE void index_block(const IndexScores& a, std::int64_t query, const CacheTile<Type>& keys, float* tile,
                                  float* out) {
  constexpr int kColumns = kKeyBlock / 16;
  const float* q = a.q + query * a.q_stride;
  const float* weights = a.weights + query * a.weight_stride;
  const Lanes<float, Arch> zero = broadcast<Arch>(0.0f);
  Lanes<float, Arch> sum[kColumns];
  for (int c = 0; c < kColumns; ++c) sum[c] = zero;
  for (std::int64_t h = 0; h < a.head_count; h += kQueryTile) {
    const int heads = static_cast<int>(a.head_count - h < kQueryTile ? a.head_count - h : kQueryTile);
    with_tile_size(heads, [&](auto size) {
      score_tile<Arch, Type, size.value>(q + h * a.dim, a.dim, keys, a.dim, a.scale, tile);
    });
    for (int i = 0; i < heads; ++i) {
      const Lanes<float, Arch> weight = broadcast<Arch>(weights[h + i]);
      for (int c = 0; c < kColumns; ++c)
        sum[c] = fma<Arch>(weight, max<Arch>(load<Arch>(tile + i * kKeyBlock + c * 16), zero), sum[c]);
    }
  }
  for (int c = 0; c < kColumns; ++c) store<Arch>(out + c * 16, sum[c]);
}

template <class Arch, class Type>
void index_queries(const IndexScores& a) noexcept {
  float* tile = a.scratch + kKeyBlock * a.dim;
  for (std::int64_t block = 0; block * kKeyBlock < a.key_count; ++block) {
    const auto* keys = static_cast<const typename Type::Value*>(a.key_blocks[block]);
    CacheTile<CacheF32> wide{a.scratch};
    if constexpr (sizeof(typename Type::Value) == sizeof(float))
      wide.values = keys;
    else
      widen_keys<Arch, Type>(keys, a.dim, a.scratch);
    for (std::int64_t i = 0; i < a.query_count; ++i)
      index_block<Arch, CacheF32>(a, i, wide, tile, a.out + i * a.out_stride + block * kKeyBlock);
  }
}

template <class Arch>
void index_scores(const IndexScores& a) noexcept {
  switch (a.key_type) {
    case KvType::f16: return index_queries<Arch, CacheF16>(a);
    case KvType::bf16: return index_queries<Arch, CacheBf16>(a);
    default: return index_queries<Arch, CacheF32>(a);
  }
}

}  // namespace moe::inline MOE_ABI::kernels

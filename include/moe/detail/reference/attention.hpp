#pragma once
// Attention over a blocked cache with a running softmax: the definition of its bits (docs/NUMERICS.md).

#include <cstddef>
#include <cstdint>
#include <limits>

#include "moe/detail/attention.hpp"
#include "moe/detail/math.hpp"
#include "moe/detail/reference/cache.hpp"

namespace moe::inline MOE_ABI::reference {

/// Layout of a cache block by kind of cache.
struct GqaLayout {
  static float key(const Attention& a, std::int64_t block, std::int64_t j, std::int64_t d) noexcept {
    return load_cache(a.cache_type, CacheOrder::columns, a.key_blocks[block], a.key_dim, j, d);
  }
  static float value(const Attention& a, std::int64_t block, std::int64_t j, std::int64_t d) noexcept {
    return load_cache(a.cache_type, CacheOrder::rows, a.value_blocks[block], a.value_dim, j, d);
  }
};
struct MlaLayout {
  static float key(const Attention& a, std::int64_t block, std::int64_t j, std::int64_t d) noexcept {
    if (a.chosen != nullptr) {
      const std::int64_t position = a.chosen[block * kKeyBlock + j];
      block = position / kKeyBlock, j = position % kKeyBlock;
    }
    const void* rows = a.key_blocks[block];
    if (a.cache_type != KvType::q8_0) return load_cache(a.cache_type, CacheOrder::rows, rows, a.key_dim, j, d);
    if (d < a.value_dim) return load_cache(KvType::q8_0, CacheOrder::rows, rows, a.value_dim, j, d);
    const void* rotated = static_cast<const std::byte*>(rows) + mla_rope_offset(a.value_dim);
    return load_cache(KvType::f16, CacheOrder::rows, rotated, a.key_dim - a.value_dim, j, d - a.value_dim);
  }
  static float value(const Attention& a, std::int64_t block, std::int64_t j, std::int64_t d) noexcept {
    return key(a, block, j, d);
  }
};

/// One query: blocks with a visible key in rising order; m is the largest score so far, l the sum of weights relative
/// to exp(m).
template <class Layout>
void attend(const Attention& a, std::int64_t query) noexcept {
  const float* q = a.q + query * a.q_stride;
  float* o = a.out + query * a.out_stride;
  const std::int64_t visible = a.last_position[query] + 1;
  const std::int64_t first = a.first_position != nullptr ? a.first_position[query] : 0;
  float m = a.sinks != nullptr ? a.sinks[query] : -std::numeric_limits<float>::infinity();
  float l = a.sinks != nullptr ? 1.0f : 0.0f;
  for (std::int64_t d = 0; d < a.value_dim; ++d) o[d] = 0.0f;

  for (std::int64_t block = first / kKeyBlock; block * kKeyBlock < visible; ++block) {
    const std::int64_t rest = visible - block * kKeyBlock;
    const int count = static_cast<int>(rest < kKeyBlock ? rest : kKeyBlock);
    const int begin = first > block * kKeyBlock ? static_cast<int>(first - block * kKeyBlock) : 0;
    float p[kKeyBlock];
    float m_new = m;
    for (int j = begin; j < count; ++j) {
      float s = 0.0f;
      for (std::int64_t d = 0; d < a.key_dim; ++d) s = detail::fma(q[d], Layout::key(a, block, j, d), s);
      p[j] = s * a.scale;
      if (a.soft_cap > 0.0f) p[j] = detail::soft_cap(p[j], detail::SoftCap(a.soft_cap));
      m_new = m_new > p[j] ? m_new : p[j];
    }
    const float alpha = detail::exp(m - m_new);
    float partial[16] = {};
    for (int j = begin; j < count; ++j) {
      p[j] = detail::exp(p[j] - m_new);
      partial[j % 16] = partial[j % 16] + p[j];
    }
    for (std::int64_t d = 0; d < a.value_dim; ++d) {
      float sum = o[d] * alpha;
      for (int j = begin; j < count; ++j) sum = detail::fma(p[j], Layout::value(a, block, j, d), sum);
      o[d] = sum;
    }
    l = detail::fma(l, alpha, detail::tree_sum(partial));
    m = m_new;
  }
  for (std::int64_t d = 0; d < a.value_dim; ++d) o[d] = o[d] / l;
}

/// out = softmax(scale * q . k) . v over the visible keys, for each query.
///
/// Cost      O(queries * keys * (key_dim + value_dim)), no scratch
/// Accuracy  the same bits for any grouping of queries into calls, and on every ISA
inline void attention_gqa(const Attention& a) noexcept {
  for (std::int64_t i = 0; i < a.query_count; ++i) attend<GqaLayout>(a, i);
}
/// The same with MLA's cache: one latent row per key, whose first value_dim numbers are the value.
inline void attention_mla(const Attention& a) noexcept {
  for (std::int64_t i = 0; i < a.query_count; ++i) attend<MlaLayout>(a, i);
}

}  // namespace moe::inline MOE_ABI::reference

#pragma once
// What one attention call reads and writes. The arithmetic is in detail/reference/attention.hpp, the fast form in kernels/.

#include <cstdint>

#include "moe/kv_type.hpp"

namespace moe::inline MOE_ABI {

inline constexpr int kKeyBlock = 64;  ///< keys per attention block, at absolute multiples of 64

/// How the 64 rows of a block lie in memory, n numbers per position.
enum class CacheOrder : std::uint8_t {
  rows,    ///< [64, n]
  columns  ///< [n, 64]: lanes are positions
};
/// Where number d of position `slot` is. Behind the codes of q8_0 are the scales, f16, in the same order with
/// n = kv_scales(n).
constexpr std::int64_t cache_index(CacheOrder order, std::int64_t n, std::int64_t slot, std::int64_t d) noexcept {
  return order == CacheOrder::rows ? slot * n + d : d * kKeyBlock + slot;
}
/// Bytes between the beginnings of an MLA block's latents and its rotated keys, which q8_0 keeps apart.
constexpr std::int64_t mla_rope_offset(std::int64_t latent_dim) noexcept {
  return kKeyBlock * kv_bytes(KvType::q8_0, latent_dim);
}

/// Row x [n] of one position, to be rounded to the cache's type.
struct CacheRow {
  KvType type = KvType::f32;
  CacheOrder order = CacheOrder::rows;
  const float* x = nullptr;
  std::int64_t n = 0;
  void* block = nullptr;
  std::int64_t slot = 0;  ///< 0 .. 63
};

/// One head group of one sequence against its cache. Keys of block b (absolute positions 64 b .. 64 b + 63):
///   gqa  keys in columns [key_dim, 64], values in rows [64, value_dim], each of the cache's type
///   mla  keys in rows [64, key_dim]; the values are the first value_dim numbers of each key: value_blocks is null.
///        q8_0: rows [64, value_dim] of q8_0, then rows [64, key_dim - value_dim] of f16
/// Query i (row i of q) sees positions first_position[i] .. last_position[i]; other slots have no influence.
/// With `chosen`, positions are places in that list: place p is the key at position chosen[p] of the sequence.
/// A sink is one more score without a value: m starts at it, l at 1.
struct Attention {
  const float* q = nullptr;  ///< [query_count, key_dim], q_stride apart; not yet scaled
  std::int64_t q_stride = 0;
  std::int64_t query_count = 0;
  const std::int64_t* last_position = nullptr;   ///< [query_count], non-decreasing
  const std::int64_t* first_position = nullptr;  ///< [query_count], non-decreasing; null = all 0. gqa only
  const float* sinks = nullptr;                  ///< [query_count]; null = none. gqa only
  const std::int32_t* chosen = nullptr;          ///< rising, [the last last_position + 1]; null = all keys. mla only
  const void* const* key_blocks = nullptr;       ///< one pointer per block of 64
  const void* const* value_blocks = nullptr;
  KvType cache_type = KvType::f32;
  std::int64_t key_dim = 0, value_dim = 0;
  float scale = 1.0f;
  float soft_cap = 0.0f;  ///< of the scaled scores, as detail::soft_cap; 0 = none. gqa only
  float* out = nullptr;   ///< [query_count, value_dim], out_stride apart
  std::int64_t out_stride = 0;
  float* scratch = nullptr;  ///< kernels::attention_scratch(key_dim, value_dim) floats of the calling worker
};

}  // namespace moe::inline MOE_ABI

#pragma once
// What one call of the indexer's kernel reads and writes (DSA). The arithmetic is in detail/reference/indexer.hpp.

#include <cstdint>

#include "moe/detail/attention.hpp"

namespace moe::inline MOE_ABI {

/// Scores of keys [0, key_count) of one sequence for each query: sum over heads of weight * relu(q . k * scale).
/// Keys of block b (absolute positions 64 b .. 64 b + 63) are in columns [dim, 64].
struct IndexScores {
  const float* q = nullptr;  ///< [query_count, head_count * dim], q_stride apart
  std::int64_t q_stride = 0;
  const float* weights = nullptr;  ///< [query_count, head_count], weight_stride apart
  std::int64_t weight_stride = 0;
  std::int64_t query_count = 0, head_count = 0, dim = 0, key_count = 0;
  const void* const* key_blocks = nullptr;  ///< one pointer per block of 64
  KvType key_type = KvType::f32;            ///< not q8_0
  float scale = 1.0f;
  float* out = nullptr;         ///< [query_count, key_count], out_stride apart; room for whole blocks in every row
  std::int64_t out_stride = 0;  ///< a multiple of 64
  float* scratch = nullptr;     ///< kernels::index_scratch(dim) floats of the calling worker
};

}  // namespace moe::inline MOE_ABI

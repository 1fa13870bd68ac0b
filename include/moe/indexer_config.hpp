#pragma once
// Settings of DeepSeek sparse attention (DSA): the lightning indexer, which chooses the keys that a query attends to.
// Source: DeepSeek-V3.2-Exp report (2025), section 2.1; GLM-5.2's layers that share a choice: arXiv 2603.12201.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "moe/rope_config.hpp"

namespace moe::inline MOE_ABI {

struct IndexerConfig {
  std::int64_t head_count = 0;  ///< of its queries; 0: there is no indexer, attention sees all keys
  /// Of its queries and its one key per token; RoPE rotates the first qk_rope_head_dim values.
  std::int64_t head_dim = 0;
  std::int64_t top_k = 0;  ///< keys that a query attends to; shorter sequences: all of them
  RopeStyle rope_style = RopeStyle::half_split;
  /// Ascending; layers without an indexer, which use the keys chosen in the layer before them (GLM-5.2).
  std::vector<std::int64_t> shared_layers = {};
  bool operator==(const IndexerConfig&) const = default;

  bool is_shared(std::int64_t layer) const {
    return std::binary_search(shared_layers.begin(), shared_layers.end(), layer);
  }
};

}  // namespace moe::inline MOE_ABI

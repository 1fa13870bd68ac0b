#pragma once
// Which keys a query attends to, by the scores of the lightning indexer (DSA).

#include <cstdint>
#include <span>

#include "moe/config.hpp"

namespace moe::inline MOE_ABI {

/// Positions of the `count` highest scores, rising; of equal scores the lower positions.
///
///   scores   [n]      finite, n >= count >= 1
///   scratch  [n]
///   chosen   [count]
void choose_keys(std::span<const float> scores, std::int64_t count, float* scratch, std::int32_t* chosen);

/// Length of the list of keys that a token attends to; 0 where every sequence is short enough to attend to all keys.
inline std::int64_t chosen_width(const ModelConfig& c) {
  return c.indexer.top_k < c.max_position ? c.indexer.top_k : 0;
}

}  // namespace moe::inline MOE_ABI

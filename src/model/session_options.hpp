#pragma once
// What SessionOptions mean for a model.

#include <algorithm>
#include <cstdint>

#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

/// Far above any memory; keeps products of it inside 64 bits.
inline constexpr std::int64_t kMaxTokens = std::int64_t{1} << 40;

/// Tokens that the cache holds.
inline std::int64_t cache_tokens(const ModelConfig& config, const SessionOptions& options) {
  return options.max_tokens > 0 ? std::min(options.max_tokens, kMaxTokens) : config.max_position;
}

}  // namespace moe::inline MOE_ABI

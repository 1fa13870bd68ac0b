#pragma once
// How many rows of logits are held at a time.

#include <algorithm>
#include <cstdint>

namespace moe::inline MOE_ABI {

/// 128 MiB: 220 rows of a vocabulary of 152,000.
inline constexpr std::int64_t kLogitBytes = std::int64_t{128} << 20;

/// Rows of a vocabulary that fit, at least one.
constexpr std::int64_t max_logit_rows(std::int64_t vocab_size) {
  return std::clamp<std::int64_t>(kLogitBytes / (4 * vocab_size), 1, 4096);
}

}  // namespace moe::inline MOE_ABI

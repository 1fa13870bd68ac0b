#pragma once
// Log-probabilities of one row of logits, in double and in a fixed order: the same bits on every machine.

#include <cstdint>
#include <span>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

struct RowSummary {
  double max = 0;
  double log_sum = 0;       ///< log(sum exp(x - max)); not finite when a logit is not
  std::int32_t argmax = 0;  ///< the first maximum
  double log_probability(float logit) const { return static_cast<double>(logit) - max - log_sum; }
};

/// Sum: 16 partial sums p[i % 16] in rising i, then the tree 8, 4, 2, 1 (docs/NUMERICS.md). `row` is not empty.
MOE_API RowSummary summarise(std::span<const float> row);

}  // namespace moe::inline MOE_ABI

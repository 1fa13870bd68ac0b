#pragma once
// Log-probabilities of a position, for replies and scored prompts.

#include <cstddef>
#include <cstdint>
#include <span>

#include "moe/generate.hpp"

namespace moe::inline MOE_ABI::generate {

/// The maximum number of top tokens for a position.
inline constexpr std::int64_t kMostListed = 1000;

/// Normalised over all of `row`; lists the `count` best of the first `known` ids.
PositionLogProbabilities log_probabilities_of(std::span<const float> row, std::size_t known, TokenId chosen,
                                              std::int64_t count);

}  // namespace moe::inline MOE_ABI::generate

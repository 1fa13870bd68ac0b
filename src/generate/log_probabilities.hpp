#pragma once
// What the logits of a position say of its token, as replies and scored prompts list it.

#include <cstddef>
#include <cstdint>
#include <span>

#include "moe/generate.hpp"

namespace moe::inline MOE_ABI::generate {

/// The most best tokens that can be listed for a position.
inline constexpr std::int64_t kMostListed = 1000;

/// Normalised over all of `row`, of which the first `known` may be listed: the `count` best of them.
PositionLogProbabilities log_probabilities_of(std::span<const float> row, std::size_t known, TokenId chosen,
                                              std::int64_t count);

}  // namespace moe::inline MOE_ABI::generate

#pragma once
// The tokens that a step runs for one batch item: its own, after those of the sequence that must be computed again.

#include <cstdint>
#include <span>
#include <vector>

#include "model/kv_cache.hpp"
#include "moe/session.hpp"
#include "moe/token.hpp"

namespace moe::inline MOE_ABI {

struct StepRun {
  Sequence sequence = 0;  ///< where the cache gets them
  std::span<const TokenId> tokens = {};
  std::int64_t position = 0;  ///< of the first token
  std::int64_t again = 0;     ///< how many of these tokens are recomputed, without logits
  bool beyond = false;        ///< LongRoPE: the sequence is longer than the original context

  /// The last tokens, which the cache does not have yet. Others replace their keys by the same ones.
  std::span<const TokenId> appended(const KvCache& cache) const {
    const std::int64_t end = position + static_cast<std::int64_t>(tokens.size());
    return tokens.last(static_cast<std::size_t>(tokens.empty() ? 0 : end - *cache.length(sequence)));
  }
};

/// Removes the rows of recomputed tokens from rows [all tokens of all runs, width].
template <class T>
void drop_again(const std::vector<StepRun>& runs, std::vector<T>& rows) {
  std::size_t count = 0, again = 0, from = 0, to = 0;
  for (const StepRun& run : runs) count += run.tokens.size(), again += static_cast<std::size_t>(run.again);
  if (again == 0 || rows.empty()) return;
  const std::size_t width = rows.size() / count;
  for (const StepRun& run : runs) {
    from += static_cast<std::size_t>(run.again) * width;
    for (std::size_t i = static_cast<std::size_t>(run.again) * width; i < run.tokens.size() * width; ++i)
      rows[to++] = std::move(rows[from++]);
  }
  rows.resize(to);
}

}  // namespace moe::inline MOE_ABI

#pragma once
// LongRoPE uses other frequencies for all of a sequence once it is longer than the original context. Cached keys are
// invalid then, and also after a rewind below it: such a sequence is recomputed from its tokens.

#include <vector>

#include "model/kv_cache.hpp"
#include "moe/config.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

/// The tokens that are run for one batch item: its own, after those of the sequence if that is recomputed.
struct StepRun {
  Sequence sequence = 0;  ///< where the cache gets them
  std::span<const TokenId> tokens = {};
  std::int64_t again = 0;  ///< how many of these tokens are recomputed, without logits
  bool beyond = false;     ///< the sequence is longer than the original context
};

class LongRopes {
 public:
  explicit LongRopes(const RopeConfig& config) : config_(config) {}

  /// One run per batch item. Recomputed sequences use a new one until commit(); meanwhile the cache holds both, beyond
  /// its limit if necessary.
  /// Errors: out_of_memory.
  Result<std::vector<StepRun>> begin(Batch batch, KvCache& cache);
  /// The step succeeded: new sequences replace the old ones.
  void commit(Batch batch, const std::vector<StepRun>& runs, KvCache& cache);
  /// The step failed: all sequences stay as before.
  void drop(Batch batch, const std::vector<StepRun>& runs, KvCache& cache);
  void fork(Sequence parent, Sequence child);
  void rewind(Sequence sequence, std::int64_t length);

 private:
  struct History {
    std::vector<TokenId> tokens;
    bool beyond = false;
  };
  bool applies() const { return config_.scaling == RopeScaling::longrope; }
  History& of(Sequence sequence);
  void give_back(KvCache& cache);

  RopeConfig config_;
  std::vector<History> histories_;           // by sequence
  std::int64_t lent_ = 0;                    // pages that the old sequences will free
  std::vector<std::vector<TokenId>> whole_;  // tokens of this step's recomputed runs
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

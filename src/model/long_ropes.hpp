#pragma once
// LongRoPE turns all of a sequence by other frequencies once it is longer than the original context: what is in the cache
// is of no use then, nor after a rewind to less. Such a sequence is computed anew, from its tokens.

#include <vector>

#include "model/kv_cache.hpp"
#include "moe/config.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

/// Tokens of one batch item as they are run: its own, behind those of the sequence where that is computed anew.
struct StepRun {
  Sequence sequence = 0;  ///< where the cache gets them
  std::span<const TokenId> tokens = {};
  std::int64_t again = 0;  ///< of these tokens, how many are computed anew: nobody asked for their logits
  bool beyond = false;     ///< the sequence is longer than the original context
};

class LongRopes {
 public:
  explicit LongRopes(const RopeConfig& config) : config_(config) {}

  /// One run per batch item. Sequences that must be computed anew are so in a new one until commit(); the cache holds
  /// both for that time, beyond its limit if need be.
  /// Errors: out_of_memory.
  Result<std::vector<StepRun>> begin(Batch batch, KvCache& cache);
  /// The step is done: new sequences take the places of the old ones.
  void commit(Batch batch, const std::vector<StepRun>& runs, KvCache& cache);
  /// The step has failed: every sequence is as before.
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
  std::int64_t lent_ = 0;                    // pages: those that the old sequences will give back
  std::vector<std::vector<TokenId>> whole_;  // tokens of the present step's runs that begin anew
};

/// Takes what belongs to tokens that were computed anew out of rows [all tokens of all runs, width].
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

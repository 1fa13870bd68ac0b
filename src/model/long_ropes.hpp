#pragma once
// LongRoPE uses other frequencies for all of a sequence once it is longer than the original context. Cached keys are
// invalid then, and also after a rewind below it: such a sequence is recomputed from its tokens.

#include <vector>

#include "model/kv_cache.hpp"
#include "model/step_run.hpp"
#include "moe/config.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

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

}  // namespace moe::inline MOE_ABI

#pragma once
// Log-likelihoods of encoded requests: the prefix tree in full batches through a Session.

#include "eval/run/request_plan.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

struct RunLimits {
  std::int64_t batch_tokens = 512;
  bool share_prefixes = true;
};

/// Fills in `encoded.scores`. A request whose logits are not finite gets that failure, the others their scores.
/// Errors: cancelled, out_of_memory, bad_argument (an answer's token outside the vocabulary).
Result<void> run_scores(Session& session, const RunLimits& limits, const Passes& passes, EncodedScores& encoded,
                        const Hooks& hooks);

}  // namespace moe::inline MOE_ABI::eval

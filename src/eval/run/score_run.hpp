#pragma once
// Log-likelihoods of encoded requests, for the evaluator.

#include "batch/tree_plan.hpp"
#include "eval/run/request_plan.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

MOE_API batch::TreePlan plan_scores(const EncodedScores& encoded, const batch::TreeLimits& limits);

/// Fills in `encoded.scores`. A request whose logits are not finite fails, others are not affected. A step
/// computes up to `batch_tokens` new tokens.
/// Errors: cancelled, out_of_memory (a cache below plan.least_pages: before the first step), bad_argument (an answer's
/// token outside the vocabulary).
MOE_API Result<void> run_scores(Session& session, std::int64_t batch_tokens, const batch::TreePlan& plan,
                                EncodedScores& encoded, const Hooks& hooks);

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// Log-likelihoods of given tokens: the prefix tree in full batches through a Session.

#include <functional>
#include <span>
#include <vector>

#include "batch/tree_plan.hpp"
#include "batch/tree_walk.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::batch {

/// Of the targets of one request.
struct TargetScore {
  double log_likelihood = 0;  ///< sum of natural logarithms, in the order of the targets; NaN when not finite
  bool is_greedy = true;      ///< every target is the first maximum of its logits
  bool is_finite = true;
  std::int64_t expert_count = 0;  ///< routed experts of the tokens of its input, shared prefixes included
};

/// `targets[i]` follow the last tokens of input i, one per row; requests without targets are skipped.
struct ScoreJob {
  const Inputs& inputs;
  std::span<const std::vector<TokenId>> targets;
  /// Each request once, as soon as it is known, in any order.
  std::function<void(std::int32_t request, const TargetScore& score)> on_score;
  /// Between steps. An error ends the run with it.
  std::function<Result<void>()> before_step = {};
  /// Work for this request; shared work counts for the first one. Includes FLOPs of failed steps.
  std::function<void(std::int32_t request, std::int64_t flops)> on_work = {};
  /// BatchItem::tally of a request; for shared work, that of the first one. Empty: 0.
  std::function<std::int32_t(std::int32_t request)> tally = {};
  std::int64_t first_row(std::size_t i) const {
    return static_cast<std::int64_t>(inputs[i].size()) - static_cast<std::int64_t>(targets[i].size());
  }
};

MOE_API Passes collect_passes(const ScoreJob& job);

/// A request whose logits are not finite has no score; others are not affected. A step computes up to `batch_tokens`
/// new tokens.
/// Errors: those of before_step and Session::step, out_of_memory (a cache below plan.least_pages: before the first
/// step), bad_argument (a target outside the vocabulary).
MOE_API Result<void> run_scores(Session& session, std::int64_t batch_tokens, const TreePlan& plan, const ScoreJob& job);

}  // namespace moe::inline MOE_ABI::batch

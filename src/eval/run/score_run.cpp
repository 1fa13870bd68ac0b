#include "eval/run/score_run.hpp"

#include "batch/score_loop.hpp"

namespace moe::inline MOE_ABI::eval {

batch::TreePlan plan_scores(const EncodedScores& encoded, const batch::TreeLimits& limits) {
  return batch::plan_passes(batch::collect_passes({encoded.inputs, encoded.targets, {}}), limits);
}

Result<void> run_scores(Session& session, std::int64_t batch_tokens, const batch::TreePlan& plan,
                        EncodedScores& encoded, const Hooks& hooks) {
  std::int64_t done = 0;
  const auto report = [&](std::size_t index) {
    ++done;
    if (hooks.on_score) hooks.on_score(static_cast<std::int64_t>(index), encoded.scores[index]);
  };
  const auto progress = [&] {
    if (hooks.on_progress) hooks.on_progress(done, static_cast<std::int64_t>(encoded.scores.size()));
  };
  if (auto enough = batch::check_room(session, plan); !enough) return enough;
  for (std::size_t i = 0; i < encoded.scores.size(); ++i)
    if (encoded.scores[i].failure != Failure::none) report(i);
  batch::ScoreJob job{encoded.inputs, encoded.targets, {}};
  job.on_score = [&](std::int32_t request, const batch::TargetScore& found) {
    Score& score = encoded.scores[static_cast<std::size_t>(request)];
    score.log_likelihood = found.log_likelihood;
    score.is_greedy = found.is_greedy;
    if (found.is_finite)
      score.pass_experts = found.expert_count;
    else
      score.failure = Failure::non_finite;
    report(static_cast<std::size_t>(request));
  };
  if (!encoded.tallies.empty())
    job.tally = [&](std::int32_t request) { return encoded.tallies[static_cast<std::size_t>(request)]; };
  job.before_step = [&]() -> Result<void> {
    progress();
    if (hooks.cancelled && hooks.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
    return {};
  };
  auto ran = batch::run_scores(session, batch_tokens, plan, job);
  if (ran) progress();
  return ran;
}

}  // namespace moe::inline MOE_ABI::eval

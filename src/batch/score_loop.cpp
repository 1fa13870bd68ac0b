#include "batch/score_loop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "batch/work.hpp"
#include "support/float_environment.hpp"
#include "support/log_softmax.hpp"

namespace moe::inline MOE_ABI::batch {
namespace {

class ScoreLoop {
 public:
  ScoreLoop(Session& session, std::int64_t batch_tokens, const TreePlan& plan, const ScoreJob& job)
      : session_(session),
        batch_tokens_(batch_tokens),
        plan_(plan),
        job_(job),
        max_rows_(most_scored_rows(session.model().config(), session.options())),
        walk_(session, plan),
        scores_(job.targets.size()),
        expert_counts_(plan.nodes.size(), 0) {
    for (const auto& targets : job.targets) rows_left_.push_back(static_cast<std::int32_t>(targets.size()));
  }

  Result<void> run() {
    if (auto enough = walk_.check_room(); !enough) return enough;
    StepRoom room;
    room.tokens = batch_tokens_, room.rows = max_rows_, room.states = most_states(session_);
    while (!walk_.is_done()) {
      if (job_.before_step)
        if (auto go_on = job_.before_step(); !go_on) return go_on;
      const TreeStep nodes = walk_.plan(room);
      const auto done = step(nodes);
      if (!done && nodes.size() > 1 &&
          (done.error().code == ErrorCode::non_finite || may_fit_in_parts(done.error(), session_))) {
        room.nodes = nodes.size() / 2;  // one of them: fewer at a time
        continue;
      }
      if (!done && done.error().code == ErrorCode::non_finite)
        give_up(nodes);
      else if (!done)
        return done;
      room.nodes = std::max(room.nodes, room.nodes * 2);
    }
    return {};
  }

 private:
  /// A target's probability, from the row of logits at `position` of a node.
  struct Found {
    std::int32_t request, node;
    std::int64_t position;
    double log_probability;
    bool is_greedy;
  };

  Result<void> step(const TreeStep& nodes) {
    std::vector<BatchItem> items;
    if (auto opened = walk_.open(nodes, items); !opened) return opened;
    for (std::size_t i = 0; job_.tally && i < items.size(); ++i)
      items[i].tally = job_.tally(first_request(plan_, walk_.at(nodes[i].node)));
    const std::int64_t before = session_.executed().total();
    step_ = &nodes, read_node_ = 0, read_row_ = 0;
    found_.clear();
    const auto output =
        session_.step(items, [this](std::int64_t, std::span<const float> rows) { return read_rows(rows); });
    if (!output) {
      wasted_flops_ += session_.executed().total() - before;
      walk_.abandon(nodes, items);
      return forward(output);
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) tell_work(nodes[i].node, i, *output);
    for (const Found& found : found_) add(found);
    walk_.finish(nodes, items);
    return {};
  }

  void tell_work(std::int32_t index, std::size_t item, const StepOutput& output) {
    const PrefixNode& node = walk_.at(index);
    const std::int64_t above = node.parent >= 0 ? expert_counts_[static_cast<std::size_t>(node.parent)] : 0;
    expert_counts_[static_cast<std::size_t>(index)] = above + new_experts(output, item);
    if (!job_.on_work) return;
    job_.on_work(first_request(plan_, node),
                 flops_of(session_.model().config(), node.begin, node.token_count(), node.row_count(), item, output));
  }

  // The next rows of the step. Scores change after it only: it may still fail.
  Result<void> read_rows(std::span<const float> rows) {
    const FloatEnvironment environment;
    const auto V = static_cast<std::size_t>(session_.model().config().vocab_size);
    const auto count = static_cast<std::int64_t>(rows.size() / V);
    const auto row = [&](std::int64_t r) { return rows.subspan(static_cast<std::size_t>(r) * V, V); };
    std::vector<RowSummary> summaries(static_cast<std::size_t>(count));
    // A nanosecond per logit: little work is not worth waking another thread.
    const bool alone = static_cast<std::int64_t>(rows.size()) < session_.options().share_from_ns;
    parallel_for(alone ? ParallelFor{} : session_.options().threads, count, [&](std::int64_t r, std::int32_t) {
      const FloatEnvironment of_task;
      summaries[static_cast<std::size_t>(r)] = summarise(row(r));
    });
    for (std::int64_t r = 0; r < count; ++r) {
      while (read_row_ == walk_.at((*step_)[read_node_].node).row_count()) ++read_node_, read_row_ = 0;
      const std::int32_t at = (*step_)[read_node_].node;
      const PrefixNode& node = walk_.at(at);
      if (auto ok =
              read_row(at, node.end - node.row_count() + read_row_++, row(r), summaries[static_cast<std::size_t>(r)]);
          !ok)
        return ok;
    }
    return {};
  }

  // Every request that scores a token after `position` of this node. Positions come in rising order for each request.
  Result<void> read_row(std::int32_t at, std::int64_t position, std::span<const float> logits,
                        const RowSummary& summary) {
    const PrefixNode& node = walk_.at(at);
    for (std::int32_t pass = node.first_pass; pass < node.last_pass; ++pass)
      for (std::int32_t index : plan_.passes.requests[static_cast<std::size_t>(pass)]) {
        const auto request = static_cast<std::size_t>(index);
        const std::int64_t nth = position - job_.first_row(request);
        if (nth < 0) continue;
        const TokenId target = job_.targets[request][static_cast<std::size_t>(nth)];
        if (target < 0 || static_cast<std::size_t>(target) >= logits.size())
          return fail(
              ErrorCode::bad_argument,
              fmt::format("token {} of an answer lies outside the model's vocabulary of {}", target, logits.size()));
        found_.push_back({index, at, position, summary.log_probability(logits[static_cast<std::size_t>(target)]),
                          summary.argmax == target});
      }
    return {};
  }

  void add(const Found& found) {
    const auto request = static_cast<std::size_t>(found.request);
    TargetScore& score = scores_[request];
    const FloatEnvironment environment;
    score.log_likelihood += found.log_probability;
    score.is_greedy = score.is_greedy && found.is_greedy;
    if (--rows_left_[request] > 0) return;
    // A pass ends where a node does: its last row is the node's.
    MOE_ASSERT(found.position + 1 == walk_.at(found.node).end);
    score.expert_count = expert_counts_[static_cast<std::size_t>(found.node)];
    if (!std::isfinite(score.log_likelihood)) set_failed(score);
    job_.on_score(found.request, score);
  }

  // Every request that still waits for a row of this node or below it.
  void give_up(const TreeStep& one) {
    const PrefixNode& node = walk_.at(one[0].node);
    if (job_.on_work) job_.on_work(first_request(plan_, node), std::exchange(wasted_flops_, 0));
    for (std::int32_t pass = node.first_pass; pass < node.last_pass; ++pass)
      for (std::int32_t index : plan_.passes.requests[static_cast<std::size_t>(pass)]) {
        if (rows_left_[static_cast<std::size_t>(index)] == 0) continue;
        rows_left_[static_cast<std::size_t>(index)] = 0;
        set_failed(scores_[static_cast<std::size_t>(index)]);
        job_.on_score(index, scores_[static_cast<std::size_t>(index)]);
      }
    walk_.give_up(one);
  }

  static void set_failed(TargetScore& score) {
    score.is_finite = false;
    score.log_likelihood = std::numeric_limits<double>::quiet_NaN();
    score.is_greedy = false;
  }

  Session& session_;
  std::int64_t batch_tokens_;
  const TreePlan& plan_;
  const ScoreJob& job_;
  std::int64_t max_rows_ = 1, wasted_flops_ = 0;
  TreeWalk walk_;
  std::vector<TargetScore> scores_;
  std::vector<std::int32_t> rows_left_;
  std::vector<std::int64_t> expert_counts_;  // [node] of its tokens and of those above it
  // Of the current step: what was read, and the node and the row of it that come next.
  std::vector<Found> found_;
  const TreeStep* step_ = nullptr;
  std::size_t read_node_ = 0;
  std::int64_t read_row_ = 0;
};

}  // namespace

Passes collect_passes(const ScoreJob& job) {
  std::vector<std::int64_t> first_row(job.inputs.size());
  for (std::size_t i = 0; i < first_row.size(); ++i) first_row[i] = job.first_row(i);
  return collect_passes(job.inputs, first_row);
}

Result<void> run_scores(Session& session, std::int64_t batch_tokens, const TreePlan& plan, const ScoreJob& job) {
  return ScoreLoop(session, batch_tokens, plan, job).run();
}

}  // namespace moe::inline MOE_ABI::batch

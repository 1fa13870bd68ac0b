#include "eval/run/score_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/run/tree_walk.hpp"
#include "support/log_softmax.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

class ScoreRun {
 public:
  ScoreRun(Session& session, std::int64_t batch_tokens, const TreePlan& plan, EncodedScores& encoded,
           const Hooks& hooks)
      : session_(session),
        batch_tokens_(batch_tokens),
        passes_(plan.passes),
        encoded_(encoded),
        hooks_(hooks),
        max_rows_(max_logit_rows(session.model().config().vocab_size)),
        walk_(session, plan) {
    rows_left_.resize(encoded.scores.size());
    for (std::size_t i = 0; i < rows_left_.size(); ++i)
      rows_left_[i] = static_cast<std::int32_t>(encoded.targets[i].size());
    for (Score& s : encoded_.scores) s.is_greedy = s.failure == Failure::none;
  }

  Result<void> run() {
    if (auto enough = walk_.check_room(); !enough) return enough;
    for (std::size_t i = 0; i < encoded_.scores.size(); ++i)
      if (encoded_.scores[i].failure != Failure::none) report(static_cast<std::int32_t>(i));
    StepRoom room;
    room.tokens = batch_tokens_, room.rows = max_rows_;
    if (hooks_.on_progress) hooks_.on_progress(requests_done_, static_cast<std::int64_t>(encoded_.scores.size()));
    while (!walk_.is_done()) {
      if (hooks_.cancelled && hooks_.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
      const TreeStep nodes = walk_.plan(room);
      const auto done = step(nodes);
      if (!done && nodes.size() > 1 && done.error().code == ErrorCode::non_finite) {
        room.nodes = nodes.size() / 2;  // one of them: fewer at a time
        continue;
      }
      if (!done && done.error().code == ErrorCode::non_finite)
        give_up(nodes);
      else if (!done)
        return done;
      room.nodes = std::max(room.nodes, room.nodes * 2);
      if (hooks_.on_progress) hooks_.on_progress(requests_done_, static_cast<std::int64_t>(encoded_.scores.size()));
    }
    return {};
  }

 private:
  Result<void> step(const TreeStep& nodes) {
    std::vector<BatchItem> items;
    if (auto opened = walk_.open(nodes, items); !opened) return opened;
    const auto output = session_.step(items);
    if (!output) {
      walk_.abandon(nodes, items);
      return forward(output);
    }
    const auto read = read_rows(nodes, *output);
    walk_.finish(nodes, items);
    return read;
  }

  Result<void> read_rows(const TreeStep& nodes, const StepOutput& output) {
    std::vector<RowSummary> rows(static_cast<std::size_t>(output.row_count));
    // A nanosecond per logit: little work is not worth waking another thread.
    const bool alone = output.row_count * output.vocab_size < session_.options().share_from_ns;
    parallel_for(
        alone ? ParallelFor{} : session_.options().threads, output.row_count,
        [&](std::int64_t r, std::int32_t) { rows[static_cast<std::size_t>(r)] = summarise(output.padded_row(r)); });
    std::int64_t row = 0;
    for (const StepNode& n : nodes) {
      const PrefixNode& node = walk_.at(n.node);
      const std::int64_t count = node.row_count();
      for (std::int64_t r = 0; r < count; ++r)
        if (const auto read = read_row(node, node.end - count + r, output.padded_row(row + r),
                                       rows[static_cast<std::size_t>(row + r)]);
            !read)
          return read;
      row += count;
    }
    return {};
  }

  // Every request that scores a token after `position` of this node. Positions come in rising order for each request.
  Result<void> read_row(const PrefixNode& node, std::int64_t position, std::span<const float> logits,
                        const RowSummary& summary) {
    for (std::int32_t pass = node.first_pass; pass < node.last_pass; ++pass)
      for (std::int32_t index : passes_.requests[static_cast<std::size_t>(pass)]) {
        const auto request = static_cast<std::size_t>(index);
        const std::int64_t nth = position - encoded_.first_row(request);
        if (nth < 0) continue;
        const TokenId target = encoded_.targets[request][static_cast<std::size_t>(nth)];
        if (target < 0 || static_cast<std::size_t>(target) >= logits.size())
          return fail(
              ErrorCode::bad_argument,
              fmt::format("token {} of an answer lies outside the model's vocabulary of {}", target, logits.size()));
        const double log_probability = summary.log_probability(logits[static_cast<std::size_t>(target)]);
        Score& score = encoded_.scores[request];
        score.log_likelihood += log_probability;
        score.is_greedy = score.is_greedy && summary.argmax == target;
        if (--rows_left_[request] > 0) continue;
        if (!std::isfinite(score.log_likelihood)) set_failed(score);
        report(index);
      }
    return {};
  }

  // Every request that still waits for a row of this node or below it.
  void give_up(const TreeStep& one) {
    const PrefixNode& node = walk_.at(one[0].node);
    for (std::int32_t pass = node.first_pass; pass < node.last_pass; ++pass)
      for (std::int32_t index : passes_.requests[static_cast<std::size_t>(pass)]) {
        if (rows_left_[static_cast<std::size_t>(index)] == 0) continue;
        rows_left_[static_cast<std::size_t>(index)] = 0;
        set_failed(encoded_.scores[static_cast<std::size_t>(index)]);
        report(index);
      }
    walk_.give_up(one);
  }

  static void set_failed(Score& score) {
    score.failure = Failure::non_finite;
    score.log_likelihood = std::numeric_limits<double>::quiet_NaN();
    score.is_greedy = false;
  }

  void report(std::int32_t index) {
    ++requests_done_;
    if (hooks_.on_score) hooks_.on_score(index, encoded_.scores[static_cast<std::size_t>(index)]);
  }

  Session& session_;
  std::int64_t batch_tokens_;
  const Passes& passes_;
  EncodedScores& encoded_;
  const Hooks& hooks_;
  std::int64_t max_rows_ = 1, requests_done_ = 0;
  TreeWalk walk_;
  std::vector<std::int32_t> rows_left_;
};

}  // namespace

Result<void> run_scores(Session& session, std::int64_t batch_tokens, const TreePlan& plan, EncodedScores& encoded,
                        const Hooks& hooks) {
  return ScoreRun(session, batch_tokens, plan, encoded, hooks).run();
}

}  // namespace moe::inline MOE_ABI::eval

#include "eval/run/score_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/run/log_softmax.hpp"
#include "eval/run/tree_walk.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

class ScoreRun {
 public:
  ScoreRun(Session& session, const RunLimits& limits, const Passes& passes, EncodedScores& encoded, const Hooks& hooks)
      : session_(session),
        limits_(limits),
        passes_(passes),
        encoded_(encoded),
        hooks_(hooks),
        max_rows_(max_logit_rows(session.model().config().vocab_size)),
        walk_(session, passes, build_prefix_tree(passes.list, limits.share_prefixes, max_rows_)) {
    rows_left_.resize(encoded.scores.size());
    for (std::size_t i = 0; i < rows_left_.size(); ++i)
      rows_left_[i] = static_cast<std::int32_t>(encoded.targets[i].size());
    for (Score& s : encoded_.scores) s.is_greedy = s.failure == Failure::none;
  }

  Result<void> run() {
    for (std::size_t i = 0; i < encoded_.scores.size(); ++i)
      if (encoded_.scores[i].failure != Failure::none) report(static_cast<std::int32_t>(i));
    std::size_t most = std::numeric_limits<std::size_t>::max();
    if (hooks_.on_progress) hooks_.on_progress(requests_done_, static_cast<std::int64_t>(encoded_.scores.size()));
    while (walk_.has_ready()) {
      if (hooks_.cancelled && hooks_.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
      const std::vector<std::int32_t> batch = take_batch(most);
      const auto done = step(batch);
      if (!done && batch.size() > 1 &&
          (done.error().code == ErrorCode::out_of_memory || done.error().code == ErrorCode::non_finite)) {
        // The cache's pages fitted worse than estimated, or one of them is not finite: fewer at a time.
        walk_.put_back(batch);
        most = batch.size() / 2;
        continue;
      }
      if (!done && done.error().code == ErrorCode::non_finite)
        give_up(batch[0]);
      else if (!done)
        return done;
      else
        walk_.push_children(batch);
      most = std::max(most, most * 2);
      if (hooks_.on_progress) hooks_.on_progress(requests_done_, static_cast<std::int64_t>(encoded_.scores.size()));
    }
    return {};
  }

 private:
  // From the top of the stack: at least one node, then as many as tokens, rows and cache allow. What stays free is
  // enough to finish any one branch, so the run never gets stuck.
  std::vector<std::int32_t> take_batch(std::size_t most) {
    std::vector<std::int32_t> batch;
    std::int64_t tokens = 0, rows = 0;
    std::int64_t room = session_.free_tokens() - passes_.longest - 4 * kPageSlack;
    while (walk_.has_ready() && batch.size() < most) {
      const PrefixNode& node = walk_.at(walk_.next());
      const std::int64_t cost = node.token_count() + kPageSlack;
      const bool fits =
          tokens + node.token_count() <= limits_.batch_tokens && rows + node.row_count() <= max_rows_ && cost <= room;
      if (!batch.empty() && !fits) break;
      tokens += node.token_count(), rows += node.row_count(), room -= cost;
      batch.push_back(walk_.next());
      walk_.take_next();
    }
    return batch;
  }

  Result<void> step(const std::vector<std::int32_t>& batch) {
    std::vector<BatchItem> items;
    Result<void> opened;
    for (std::int32_t node : batch) {
      const auto sequence = walk_.sequence_for(node);
      if (!sequence) {
        opened = forward(sequence);
        break;
      }
      items.push_back({*sequence, walk_.tokens(node), walk_.at(node).logits});
    }
    auto output = opened ? session_.step(items) : Result<StepOutput>(forward(opened));
    if (!output) {
      for (const BatchItem& item : items) static_cast<void>(session_.close(item.sequence));
      return forward(output);
    }
    const auto read = read_rows(batch, *output);
    for (std::size_t i = 0; i < batch.size(); ++i) walk_.finish(batch[i], items[i].sequence);
    return read;
  }

  Result<void> read_rows(const std::vector<std::int32_t>& batch, const StepOutput& output) {
    std::vector<RowSummary> rows(static_cast<std::size_t>(output.row_count));
    // A nanosecond per logit: little work is not worth waking another thread.
    const bool alone = output.row_count * output.vocab_size < session_.options().share_from_ns;
    parallel_for(
        alone ? ParallelFor{} : session_.options().threads, output.row_count,
        [&](std::int64_t r, std::int32_t) { rows[static_cast<std::size_t>(r)] = summarise(output.padded_row(r)); });
    std::int64_t row = 0;
    for (std::int32_t node : batch) {
      const std::int64_t count = walk_.at(node).row_count();
      for (std::int64_t r = 0; r < count; ++r)
        if (const auto read = read_row(walk_.at(node), walk_.at(node).end - count + r, output.padded_row(row + r),
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
  void give_up(std::int32_t node) {
    for (std::int32_t pass = walk_.at(node).first_pass; pass < walk_.at(node).last_pass; ++pass)
      for (std::int32_t index : passes_.requests[static_cast<std::size_t>(pass)]) {
        if (rows_left_[static_cast<std::size_t>(index)] == 0) continue;
        rows_left_[static_cast<std::size_t>(index)] = 0;
        set_failed(encoded_.scores[static_cast<std::size_t>(index)]);
        report(index);
      }
    walk_.give_up(node);
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
  const RunLimits& limits_;
  const Passes& passes_;
  EncodedScores& encoded_;
  const Hooks& hooks_;
  std::int64_t max_rows_ = 1, requests_done_ = 0;
  TreeWalk walk_;
  std::vector<std::int32_t> rows_left_;
};

}  // namespace

Result<void> run_scores(Session& session, const RunLimits& limits, const Passes& passes, EncodedScores& encoded,
                        const Hooks& hooks) {
  return ScoreRun(session, limits, passes, encoded, hooks).run();
}

}  // namespace moe::inline MOE_ABI::eval

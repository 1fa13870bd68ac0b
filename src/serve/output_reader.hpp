#pragma once
// Processes a step's logits: scores of prompts, the next token of each reply, and notification of the sinks.

#include <optional>
#include <string_view>

#include "serve/compose.hpp"
#include "serve/roster.hpp"

namespace moe::inline MOE_ABI::serve {

class OutputReader {
 public:
  /// All must outlive the reader.
  OutputReader(StepEngine& engine, PrefixIndex& index, Roster& roster, Counters& counters)
      : engine_(engine), index_(index), roster_(roster), counters_(counters) {}

  /// The items of a completed step, in its order.
  void read(std::span<const StepItem> items, const StepOutput& output);
  /// A trunk that is done without logits: all of it was known.
  void finish_trunk(JobRecord& job) { finish_trunk(job, {}, 0); }
  void fail(JobRecord& job, const Error& error);
  /// Calls on_finished of the jobs that ended since the last call.
  void tell_finished();

 private:
  // The text that a reply's new token adds, or its error; nothing if no token was sampled.
  using Drawn = std::optional<Result<std::string_view>>;

  ParallelFor threads_for(std::int64_t logits) const;
  std::vector<Drawn> draw(std::span<const StepItem> items, const StepOutput& output) const;
  void read_item(const StepItem& item, const StepOutput& output, std::int64_t first_row, const Drawn& drawn);
  bool read_scores(const StepItem& item, const StepOutput& output, std::int64_t first_row);
  void finish_trunk(JobRecord& job, std::span<const float> row, std::size_t known);
  void tell_prompt(JobRecord& job);
  void end_without_replies(JobRecord& job);
  bool draw_first(JobRecord& job, std::span<const float> row, std::size_t known);
  bool branch(JobRecord& job);
  bool tell(JobRecord& job, ReplyRecord& reply, const Result<std::string_view>& text);
  void keep(JobRecord& job, ReplyRecord& reply);
  void end_if_done(JobRecord& job);

  StepEngine& engine_;
  PrefixIndex& index_;
  Roster& roster_;
  Counters& counters_;
  std::vector<std::shared_ptr<JobSink>> finished_;
};

}  // namespace moe::inline MOE_ABI::serve

#include "serve/output_reader.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "generate/log_probabilities.hpp"

namespace moe::inline MOE_ABI::serve {

// A nanosecond per logit: small work does not justify waking another thread.
ParallelFor OutputReader::threads_for(std::int64_t logits) const {
  constexpr std::int64_t kShareFrom = 20000;
  return logits < kShareFrom ? ParallelFor{} : engine_.threads();
}

// Replies are independent: each samples with its own generator, in any thread.
std::vector<OutputReader::Drawn> OutputReader::draw(std::span<const StepItem> items, const StepOutput& output) const {
  std::vector<Drawn> drawn(items.size());
  std::vector<std::int64_t> last_row(items.size());
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < items.size(); ++i) last_row[i] = (rows += items[i].row_count()) - 1;
  parallel_for(threads_for(rows * output.vocab_size), static_cast<std::int64_t>(items.size()),
               [&](std::int64_t n, std::int32_t) {
                 const auto i = static_cast<std::size_t>(n);
                 const StepItem& item = items[i];
                 if (item.reply == nullptr || item.job->pending(*item.reply) > item.count) return;
                 drawn[i] = item.reply->writing.take(output.padded_row(last_row[i]),
                                                     static_cast<std::size_t>(output.token_count));
               });
  return drawn;
}

void OutputReader::read(std::span<const StepItem> items, const StepOutput& output) {
  const std::vector<Drawn> drawn = draw(items, output);
  std::int64_t row = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const StepItem& item = items[i];
    const std::int64_t flops = engine_.flops_of(item.begin, item.count, item.row_count(), i, output);
    (item.reply != nullptr ? *item.reply : item.job->replies.front()).writing.result().flops += flops;
    counters_.step_tokens += item.count;
    if (item.is_stretch()) counters_.step_prompt_tokens += item.count;
    counters_.longest_sequence = std::max(counters_.longest_sequence, item.begin + item.count);
    // A reply of the same job may have failed it.
    if (item.job->state == JobState::running) read_item(item, output, row, drawn[i]);
    row += item.row_count();
  }
}

void OutputReader::read_item(const StepItem& item, const StepOutput& output, std::int64_t first_row,
                             const Drawn& drawn) {
  JobRecord& job = *item.job;
  if (item.reply != nullptr) {
    item.reply->length += item.count;
    item.reply->served = counters_.step_tokens;
    if (drawn && tell(job, *item.reply, *drawn)) end_if_done(job);
    return;
  }
  job.trunk_length += item.count;
  job.is_fresh = false;
  if (!read_scores(item, output, first_row) || job.trunk_length < job.trunk_end()) return;
  const auto row =
      item.row_count() > 0 ? output.padded_row(first_row + item.row_count() - 1) : std::span<const float>();
  finish_trunk(job, row, static_cast<std::size_t>(output.token_count));
}

// False when the job has failed. The row at a position is that of the next token.
bool OutputReader::read_scores(const StepItem& item, const StepOutput& output, std::int64_t first_row) {
  JobRecord& job = *item.job;
  if (!job.wants_scores() || job.has_all_scores() || item.row_count() == 0) return true;
  const std::int64_t target = item.begin + item.count - item.row_count() + 1;
  const std::int64_t count = std::min(item.row_count(), job.prompt_tokens() - target);
  MOE_ASSERT(target == static_cast<std::int64_t>(job.scores.size()));
  const std::int64_t asked = *job.job.score_prompt;
  std::vector<PositionLogProbabilities> found(static_cast<std::size_t>(std::max<std::int64_t>(count, 0)));
  parallel_for(threads_for(count * output.vocab_size), count, [&](std::int64_t i, std::int32_t) {
    found[static_cast<std::size_t>(i)] = generate::log_probabilities_of(
        output.padded_row(first_row + i), static_cast<std::size_t>(output.token_count),
        job.job.prompt[static_cast<std::size_t>(target + i)], std::max<std::int64_t>(asked, 1));
  });
  for (PositionLogProbabilities& p : found) {
    if (std::isnan(p.chosen.log_probability)) {
      fail(job, {ErrorCode::non_finite, "a logit of the prompt's tokens is not finite"});
      return false;
    }
    job.scores.push_back({p.chosen.log_probability, p.best.front().log_probability, p.best.front().token});
    if (asked == 0) p.best.clear();
    job.listed.push_back(std::move(p));
  }
  return true;
}

void OutputReader::tell_prompt(JobRecord& job) {
  if (std::exchange(job.has_told_prompt, true)) return;
  counters_.prompt_tokens += job.prompt_tokens();
  counters_.reused_tokens += job.reused;
  if (job.reused > 0 || job.known_scores > 0) counters_.flops_saved += engine_.flops_of(job.reused, job.known_scores);
  for (ReplyRecord& reply : job.replies) reply.writing.result().reused_tokens = job.reused;
  if (job.wants_scores()) job.sink->on_prompt_scores(std::move(job.listed));
}

void OutputReader::end_without_replies(JobRecord& job) {
  for (std::size_t i = 0; i < job.replies.size(); ++i) {
    ReplyRecord& reply = job.replies[i];
    static_cast<void>(reply.writing.end(EndReason::max_tokens));
    reply.has_ended = true;
    job.sink->on_end(i, reply.writing.result());
  }
}

void OutputReader::finish_trunk(JobRecord& job, std::span<const float> row, std::size_t known) {
  job.has_branched = true;
  tell_prompt(job);
  if (!job.generates) end_without_replies(job);
  if (job.generates && !job.has_drawn && !draw_first(job, row, known)) return;
  if (!branch(job)) return;
  if (job.trunk != kNoSequence) {
    const auto length = static_cast<std::size_t>(job.trunk_length);
    index_.insert(roster_.salt(job), std::exchange(job.trunk, kNoSequence), std::span(job.job.prompt).first(length),
                  std::span(job.scores).first(std::min(length, job.scores.size())));
  }
  end_if_done(job);
}

// False when the job has failed.
bool OutputReader::draw_first(JobRecord& job, std::span<const float> row, std::size_t known) {
  job.has_drawn = true;
  return std::all_of(job.replies.begin(), job.replies.end(),
                     [&](ReplyRecord& reply) { return tell(job, reply, reply.writing.take(row, known)); });
}

bool OutputReader::branch(JobRecord& job) {
  for (ReplyRecord& reply : job.replies) {
    if (reply.has_ended) continue;
    const auto sequence = engine_.fork(job.trunk);
    if (!sequence) {
      fail(job, sequence.error());
      return false;
    }
    reply.sequence = *sequence;
    reply.length = job.trunk_length;
  }
  return true;
}

// False when the job has failed.
bool OutputReader::tell(JobRecord& job, ReplyRecord& reply, const Result<std::string_view>& text) {
  if (!text) {
    fail(job, text.error());
    return false;
  }
  Generation& result = reply.writing.result();
  const auto now = Clock::now();
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  if (result.tokens.size() == 1) {
    reply.first_token = now;
    result.prompt_seconds = seconds(now - job.submitted);
  }
  result.reply_seconds = seconds(now - reply.first_token);
  counters_.reply_tokens += 1;
  const auto index = static_cast<std::size_t>(&reply - job.replies.data());
  const auto scores = std::span<const PositionLogProbabilities>(result.log_probabilities);
  job.sink->on_piece(index, *text, std::span(result.tokens).last(1),
                     scores.last(std::min<std::size_t>(scores.size(), 1)));
  if (!reply.writing.ended()) return true;
  reply.has_ended = true;
  job.sink->on_end(index, result);
  keep(job, reply);
  return true;
}

// The prompt and all tokens of the reply except the last, which was never run.
void OutputReader::keep(JobRecord& job, ReplyRecord& reply) {
  if (reply.sequence == kNoSequence) return;
  std::vector<TokenId> tokens = job.job.prompt;
  tokens.insert(tokens.end(), reply.tokens().begin(), reply.tokens().end());
  tokens.resize(static_cast<std::size_t>(reply.length));
  index_.insert(roster_.salt(job), std::exchange(reply.sequence, kNoSequence), tokens, job.scores);
}

void OutputReader::end_if_done(JobRecord& job) {
  if (job.open_replies() > 0) return;
  roster_.end(job);
  finished_.push_back(job.sink);
}

void OutputReader::tell_finished() {
  for (const std::shared_ptr<JobSink>& sink : std::exchange(finished_, {})) sink->on_finished();
}

void OutputReader::fail(JobRecord& job, const Error& error) {
  if (job.state == JobState::done) return;
  roster_.end(job);
  job.sink->on_failed(error);
}

}  // namespace moe::inline MOE_ABI::serve

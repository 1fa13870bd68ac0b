#include "serve/serial_queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "generate/reply.hpp"
#include "generate/seeds.hpp"
#include "support/log_softmax.hpp"

namespace moe::inline MOE_ABI::serve {
namespace {

constexpr std::size_t kScoredTokens = 64;  // rows of logits held at one time

PositionLogProbabilities score_of(std::span<const float> row, std::size_t known, TokenId token, std::int64_t best) {
  const RowSummary summary = summarise(row);
  const auto entry = [&](std::size_t id) {
    return TokenLogProbability{static_cast<TokenId>(id), summary.log_probability(row[id])};
  };
  PositionLogProbabilities out{entry(static_cast<std::size_t>(token)), {}};
  std::vector<std::size_t> ids(known);
  for (std::size_t i = 0; i < known; ++i) ids[i] = i;
  const auto count = std::min(known, static_cast<std::size_t>(best));
  std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count), ids.end(),
                    [&](std::size_t a, std::size_t b) { return row[a] > row[b] || (row[a] == row[b] && a < b); });
  for (std::size_t i = 0; i < count; ++i) out.best.push_back(entry(ids[i]));
  return out;
}

}  // namespace

SerialQueue::SerialQueue(std::unique_ptr<Session> session, std::int64_t max_queue)
    : session_(std::move(session)),
      room_(session_->options().max_tokens - kPageTokens),  // a fork copies the page that its prompt ends in
      max_queue_(max_queue),
      thread_([this] { work(); }) {}

SerialQueue::~SerialQueue() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    if (running_ != 0) cancelled_.insert(running_);
  }
  wake_.notify_all();
  thread_.join();
}

Result<JobId> SerialQueue::submit(Job job, std::shared_ptr<JobSink> sink) {
  const std::lock_guard lock(mutex_);
  if (draining_ || ending_) return fail(ErrorCode::cancelled, "the server is shutting down");
  const auto prompt = static_cast<std::int64_t>(job.prompt.size());
  const std::int64_t room = room_;
  const std::int64_t needed = prompt + std::max<std::int64_t>(job.options.max_tokens - 1, 0);
  if (prompt < 1 || needed > room)
    return fail(ErrorCode::bad_argument,
                fmt::format("the prompt has {} tokens and the reply up to {}, expected at most "
                            "{} together",
                            prompt, job.options.max_tokens, room));
  if (job.min_tokens > 0) return fail(ErrorCode::unsupported, "min_tokens needs the scheduler");
  if (static_cast<std::int64_t>(waiting_.size()) >= max_queue_)
    return fail(ErrorCode::out_of_memory, fmt::format("{} requests are waiting already", waiting_.size()));
  waiting_.push_back({next_, std::move(job), std::move(sink)});
  wake_.notify_all();
  return next_++;
}

void SerialQueue::cancel(JobId id) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](const Entry& e) { return e.id == id; });
  if (found != waiting_.end())
    waiting_.erase(found);
  else if (running_ == id)
    cancelled_.insert(id);
  else
    return;
  ++counters_.cancelled;
  wake_.notify_all();
}
void SerialQueue::pause(JobId id) {
  const std::lock_guard lock(mutex_);
  paused_.insert(id);
}
void SerialQueue::resume(JobId id) {
  const std::lock_guard lock(mutex_);
  paused_.erase(id);
  wake_.notify_all();
}

Counters SerialQueue::counters() const {
  const std::lock_guard lock(mutex_);
  Counters now = counters_;
  now.running = running_ != 0 && paused_.count(running_) == 0 ? 1 : 0;
  now.paused = running_ != 0 && paused_.count(running_) != 0 ? 1 : 0;
  now.waiting = static_cast<std::int64_t>(waiting_.size());
  now.cache_tokens = session_->options().max_tokens;
  return now;
}

void SerialQueue::drain() {
  std::deque<Entry> left;
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
    left.swap(waiting_);
  }
  for (const Entry& e : left) e.sink->on_failed({ErrorCode::cancelled, "the server is shutting down"});
}

void SerialQueue::work() {
  for (std::unique_lock lock(mutex_);;) {
    wake_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (ending_) return;
    Entry entry = std::move(waiting_.front());
    waiting_.pop_front();
    running_ = entry.id;
    lock.unlock();
    entry.sink->on_admitted();
    const auto done = run(entry);
    if (!stopped(entry.id)) {
      if (done)
        entry.sink->on_finished();
      else
        entry.sink->on_failed(done.error());
    }
    lock.lock();
    running_ = 0;
    cancelled_.clear();
    paused_.erase(entry.id);
    counters_.flops = session_->executed().total();
  }
}

// Waits while the job is paused. True: it was cancelled.
bool SerialQueue::stopped(JobId id) {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return paused_.count(id) == 0 || cancelled_.count(id) != 0 || ending_; });
  return cancelled_.count(id) != 0 || ending_;
}

Result<Sequence> SerialQueue::compute_prompt(const Entry& entry, StepOutput& out) {
  const auto sequence = session_->open();
  if (!sequence) return sequence;
  const auto& job = entry.job;
  const std::size_t piece = job.score_prompt ? kScoredTokens : job.prompt.size();
  std::vector<PositionLogProbabilities> scores;
  for (std::size_t at = 0; at < job.prompt.size() && !stopped(entry.id); at += piece) {
    const auto part = std::span(job.prompt).subspan(at, std::min(piece, job.prompt.size() - at));
    auto step = session_->step(*sequence, part, job.score_prompt ? Logits::all : Logits::last);
    if (!step) {
      (void)session_->close(*sequence);
      return forward(step);
    }
    out = std::move(*step);
    for (std::size_t i = 0; job.score_prompt && i < part.size() && at + i + 1 < job.prompt.size(); ++i)
      scores.push_back(score_of(out.padded_row(static_cast<std::int64_t>(i)), static_cast<std::size_t>(out.token_count),
                                job.prompt[at + i + 1], *job.score_prompt));
  }
  if (job.score_prompt && !stopped(entry.id)) entry.sink->on_prompt_scores(std::move(scores));
  return sequence;
}

Result<void> SerialQueue::run(Entry& entry) {
  StepOutput out;
  const auto prompt = compute_prompt(entry, out);
  if (!prompt) return forward(prompt);
  {
    const std::lock_guard lock(mutex_);
    counters_.prompt_tokens += static_cast<std::int64_t>(entry.job.prompt.size());
  }
  Result<void> done;
  const bool writes = entry.job.options.max_tokens > 0 || !entry.job.score_prompt;
  for (std::size_t k = 0;
       writes && done && !stopped(entry.id) && k < static_cast<std::size_t>(entry.job.options.replies); ++k)
    done = reply(entry, k, *prompt, out);
  (void)session_->close(*prompt);
  return done;
}

Result<void> SerialQueue::reply(Entry& entry, std::size_t index, Sequence prompt, StepOutput out) {
  const auto& o = entry.job.options;
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t flops = session_->executed().total();
  const auto prompt_size = static_cast<std::int64_t>(entry.job.prompt.size());
  const std::int64_t room = room_ - prompt_size + 1;
  auto writer = generate::Reply::create(session_->model().tokenizer().get(), o,
                                        o.max_tokens > 0 ? std::min(o.max_tokens, room) : room,
                                        generate::seed_of_reply(o.sampling.seed, index), generate::TextStart::goes_on);
  if (!writer) return forward(writer);
  writer->see_prompt(entry.job.prompt);
  const auto sequence = session_->fork(prompt);
  if (!sequence) return forward(sequence);
  Result<void> done;
  while (!stopped(entry.id)) {
    const auto text = writer->take(out.padded_row(out.row_count - 1), static_cast<std::size_t>(out.token_count));
    if (!text) {
      done = forward(text);
      break;
    }
    const auto& scores = writer->result().log_probabilities;
    entry.sink->on_piece(index, *text, {&writer->last(), 1},
                         scores.empty() ? std::span<const PositionLogProbabilities>() : std::span(&scores.back(), 1));
    if (writer->ended()) break;
    auto step = session_->step(*sequence, {&writer->last(), 1});
    if (!step) {
      done = forward(step);
      break;
    }
    out = std::move(*step);
  }
  (void)session_->close(*sequence);
  if (!done || stopped(entry.id)) return done;
  Generation& g = writer->result();
  g.prompt_tokens = prompt_size;
  g.flops = session_->executed().total() - flops;
  g.reply_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  {
    const std::lock_guard lock(mutex_);
    counters_.reply_tokens += static_cast<std::int64_t>(g.tokens.size());
  }
  entry.sink->on_end(index, g);
  return {};
}

}  // namespace moe::inline MOE_ABI::serve

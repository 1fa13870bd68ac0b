#include "serve/scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace moe::inline MOE_ABI::serve {
namespace {

Result<void> check_options(const SchedulerOptions& o) {
  const auto refuse = [](const char* what, std::int64_t found, std::int64_t least) {
    return fail(ErrorCode::bad_argument, fmt::format("{} is {}, expected at least {}", what, found, least));
  };
  if (o.batch_tokens < 1) return refuse("batch_tokens", o.batch_tokens, 1);
  if (o.max_sequences < 1) return refuse("max_sequences", o.max_sequences, 1);
  if (o.max_queue < 1) return refuse("max_queue", o.max_queue, 1);
  if (o.logit_memory < 1) return refuse("logit_memory", o.logit_memory, 1);
  if (o.prefix_cache_tokens.value_or(0) < 0) return refuse("prefix_cache_tokens", *o.prefix_cache_tokens, 0);
  if (o.reorder_window < 0) return refuse("reorder_window", o.reorder_window, 0);
  if (!(o.max_step_ms >= 0))
    return fail(ErrorCode::bad_argument, fmt::format("max_step_ms is {}, expected at least 0", o.max_step_ms));
  return {};
}

// More sequences at a time would take recurrent states beyond those that the session has room for.
SchedulerOptions within_states(SchedulerOptions options, const StepEngine& engine) {
  options.max_sequences = std::min(options.max_sequences, std::max<std::int64_t>(engine.most_states() / 2, 1));
  return options;
}

}  // namespace

Result<std::unique_ptr<Scheduler>> Scheduler::create(std::unique_ptr<StepEngine> engine,
                                                     const SchedulerOptions& options) {
  if (engine == nullptr) return fail(ErrorCode::bad_argument, "engine is null");
  if (auto ok = check_options(options); !ok) return forward(ok);
  return std::unique_ptr<Scheduler>(new Scheduler(std::move(engine), options));
}

Scheduler::Scheduler(std::unique_ptr<StepEngine> engine, const SchedulerOptions& options)
    : engine_(std::move(engine)),
      options_(within_states(options, *engine_)),
      limits_{engine_->context(), engine_->cache_tokens() / kPageTokens, engine_->vocab_size(), options.max_sequences,
              engine_->tokenizer()},
      index_(*engine_, options.prefix_cache_tokens.value_or(engine_->cache_tokens() / 2)),
      roster_(*engine_, index_, options_),
      reader_(*engine_, index_, roster_, counters_) {
  publish();
}

Scheduler::~Scheduler() = default;

// ---- any thread

Result<JobId> Scheduler::submit(Job job, std::shared_ptr<JobSink> sink) {
  auto record = take_in(std::move(job), std::move(sink), limits_);
  if (!record) return forward(record);
  JobId id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (is_draining_) return fail(ErrorCode::cancelled, "the server is shutting down");
    if (submitted_ + waiting_ >= options_.max_queue)
      return fail(ErrorCode::out_of_memory, fmt::format("{} jobs are waiting, expected fewer than {}",
                                                        submitted_ + waiting_, options_.max_queue));
    id = (*record)->id = next_id_++;
    ++submitted_;
    submitted_replies_ += (*record)->open_replies();
    commands_.push_back({Command::Kind::submit, id, std::move(*record)});
  }
  if (waker_) waker_();
  return id;
}

void Scheduler::leave(Command command) {
  {
    const std::lock_guard lock(mutex_);
    if (command.kind == Command::Kind::drain || command.kind == Command::Kind::fail_all) is_draining_ = true;
    commands_.push_back(std::move(command));
  }
  if (waker_) waker_();
}

void Scheduler::cancel(JobId id) { leave({Command::Kind::cancel, id}); }
void Scheduler::pause(JobId id) { leave({Command::Kind::pause, id}); }
void Scheduler::resume(JobId id) { leave({Command::Kind::resume, id}); }
void Scheduler::drain() { leave({Command::Kind::drain}); }
void Scheduler::fail_all() { leave({Command::Kind::fail_all}); }

Counters Scheduler::counters() const {
  const std::lock_guard lock(mutex_);
  Counters out = published_;
  out.waiting += submitted_replies_;
  return out;
}

// ---- the scheduler's thread

void Scheduler::apply_commands() {
  std::vector<Command> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
    waiting_ += std::exchange(submitted_, 0);
    published_.waiting += std::exchange(submitted_replies_, 0);
  }
  for (Command& command : commands) apply(command);
}

void Scheduler::apply(Command& command) {
  using Kind = Command::Kind;
  if (command.kind == Kind::submit) return roster_.add(std::move(command.job));
  if (command.kind == Kind::drain || command.kind == Kind::fail_all) return fail_where(command.kind == Kind::fail_all);
  JobRecord* job = roster_.find(command.id);
  if (job == nullptr) return;
  if (command.kind == Kind::cancel) {
    roster_.end(*job);
    counters_.cancelled += 1;
  } else {
    job->is_paused = command.kind == Kind::pause;
  }
}

void Scheduler::fail_where(bool also_running) {
  for (const auto& [id, job] : roster_.jobs())
    if (also_running || job->state == JobState::waiting)
      reader_.fail(*job, {ErrorCode::cancelled, "the server is shutting down"});
}

// Jobs whose next tokens can run. For some everything is already known.
std::vector<JobRecord*> Scheduler::gather() {
  while (JobRecord* job = roster_.admit_one())
    if (!std::exchange(job->has_told_admission, true)) job->sink->on_admitted();
  std::vector<JobRecord*> ready = roster_.ready();
  for (JobRecord* job : ready) {
    if (job->has_branched) continue;
    if (job->trunk_length == job->trunk_end())
      reader_.finish_trunk(*job);
    else if (job->trunk == kNoSequence)
      reader_.fail(*job, {ErrorCode::out_of_memory, "no sequence can be opened"});
    else
      continue;
    has_progressed_ = true;
  }
  std::erase_if(ready, [](const JobRecord* job) { return job->state != JobState::running; });
  return ready;
}

StepBudget Scheduler::budget() const {
  StepBudget budget;
  budget.tokens = options_.batch_tokens;
  budget.rows = std::max<std::int64_t>(options_.logit_memory / (4 * limits_.vocab_size), 2);
  budget.replies = options_.max_sequences;
  budget.seconds = 1e-3 * options_.max_step_ms;
  budget.reply_seconds = reply_seconds_;
  budget.token_seconds = token_seconds_;
  budget.long_rope = engine_->long_rope();
  return budget;
}

// Running means, so that one slow step on a busy machine matters little: per token of replies, from steps with hardly
// anything else, and per token in steps with slices of prompts, where each costs less.
void Scheduler::measure(std::int64_t tokens, std::int64_t of_prompts, double seconds) {
  double& mean = of_prompts < kLeastSlice ? reply_seconds_ : token_seconds_;
  const double now = seconds / static_cast<double>(tokens);
  mean = mean > 0 ? 0.8 * mean + 0.2 * now : now;
}

bool Scheduler::step() {
  has_progressed_ = false;
  apply_commands();
  std::vector<StepItem> items = composer_.compose(gather(), budget());
  if (!items.empty()) {
    has_progressed_ = true;
    counters_.steps += 1;
    counters_.step_sequences += static_cast<std::int64_t>(items.size());
    std::int64_t tokens = 0, of_prompts = 0;
    for (const StepItem& item : items) {
      tokens += item.count;
      if (item.is_stretch()) of_prompts += item.count;
    }
    const auto started = Clock::now();
    run(std::move(items));
    const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
    const double share = static_cast<double>(of_prompts) / static_cast<double>(tokens);
    counters_.prompt_seconds += seconds * share;
    counters_.reply_seconds += seconds * (1.0 - share);
    measure(tokens, of_prompts, seconds);
    if (observer_) observer_(tokens, seconds);
  }
  roster_.sweep();
  index_.enforce_limit();
  publish();
  // Counted before the answer is sent.
  reader_.tell_finished();
  return has_progressed_;
}

// On an error all sequences are unchanged: the rest of the batch runs again, with the same results.
void Scheduler::run(std::vector<StepItem> items) {
  const auto is_gone = [](const StepItem& item) {
    const Sequence now = item.reply != nullptr ? item.reply->sequence : item.job->trunk;
    return item.job->state != JobState::running || now != item.sequence;
  };
  for (;;) {
    std::erase_if(items, is_gone);
    if (items.empty()) return;
    std::vector<BatchItem> batch;
    for (const StepItem& item : items) batch.push_back({item.sequence, item.tokens(), item.logits});
    const auto output = engine_->step(batch);
    if (output) return reader_.read(items, *output);
    const Error& error = output.error();
    if (error.code == ErrorCode::out_of_memory) {
      if (index_.evict_one() || roster_.preempt_one()) continue;
      reader_.fail(*items.front().job, error);
    } else if (error.code == ErrorCode::non_finite && items.size() > 1) {
      // Halves the batch until the failing item is found.
      const auto middle = items.begin() + static_cast<std::ptrdiff_t>(items.size() / 2);
      run({items.begin(), middle});
      return run({middle, items.end()});
    } else {
      for (const StepItem& item : items) reader_.fail(*item.job, error);
      return;
    }
  }
}

void Scheduler::publish() {
  counters_.running = counters_.waiting = counters_.paused = 0;
  for (const auto& [id, job] : roster_.jobs()) {
    const std::int64_t replies = job->open_replies();
    (job->is_paused                    ? counters_.paused
     : job->state == JobState::running ? counters_.running
                                       : counters_.waiting) += replies;
  }
  counters_.cache_tokens = engine_->cache_tokens();
  counters_.cache_tokens_used = counters_.cache_tokens - engine_->free_tokens();
  counters_.preemptions = roster_.preemptions();
  counters_.flops = engine_->flops();
  const std::lock_guard lock(mutex_);
  published_ = counters_;
  waiting_ = static_cast<std::int64_t>(roster_.waiting().size());
}

std::vector<Sequence> Scheduler::held_sequences() const {
  std::vector<Sequence> out = index_.leaves();
  for (const auto& [id, job] : roster_.jobs()) {
    if (job->trunk != kNoSequence) out.push_back(job->trunk);
    for (const ReplyRecord& reply : job->replies)
      if (reply.sequence != kNoSequence) out.push_back(reply.sequence);
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::serve

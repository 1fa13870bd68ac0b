#pragma once
// Continuous batching: many jobs through one Session, a step at a time. Results depend only on the job: batches, reuse,
// preemption and order affect timing, never a bit.
//
// check, submit, cancel, pause, resume, drain, fail_all and counters may be called by any thread; the next step()
// acts on them. step() and all sinks run in one thread, the scheduler's.

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "moe/serve.hpp"
#include "serve/compose.hpp"
#include "serve/intake.hpp"
#include "serve/output_reader.hpp"
#include "serve/prefix_index.hpp"
#include "serve/roster.hpp"
#include "serve/step_engine.hpp"

namespace moe::inline MOE_ABI::serve {

class Scheduler final : public JobQueue {
 public:
  /// Nothing is open in the engine. Errors: bad_argument, naming the option.
  static Result<std::unique_ptr<Scheduler>> create(std::unique_ptr<StepEngine> engine,
                                                   const SchedulerOptions& options = {});
  ~Scheduler() override;

  Result<void> check(const Job& job) const override { return check_job(job, limits_); }
  Result<JobId> submit(Job job, std::shared_ptr<JobSink> sink) override;
  void cancel(JobId id) override;
  void pause(JobId id) override;
  void resume(JobId id) override;
  Counters counters() const override;

  /// From now on submit() refuses. Waiting jobs fail with `cancelled`, running ones are finished.
  void drain();
  /// The same, and running jobs fail too.
  void fail_all();
  /// Called after each of the above, by the calling thread. Set it before other threads use the scheduler.
  void set_waker(std::function<void()> waker) { waker_ = std::move(waker); }

  /// Called after each step by the scheduler's thread. Set it before that thread starts.
  void set_step_observer(std::function<void(std::int64_t tokens, double seconds)> observer) {
    observer_ = std::move(observer);
  }

  /// Acts on calls since the last step, and runs a step. False when there is nothing to do until the next call: no
  /// jobs, or only paused ones.
  bool step();
  /// Whether the scheduler's thread has no job left; jobs submitted since the last step do not count.
  bool is_empty() const { return roster_.is_empty(); }

  /// For tests: all sequences that jobs and index hold; the jobs; the index.
  std::vector<Sequence> held_sequences() const;
  const Roster& roster() const { return roster_; }
  PrefixIndex& index() { return index_; }

 private:
  struct Command {
    enum class Kind { submit, cancel, pause, resume, drain, fail_all } kind;
    JobId id = 0;
    std::unique_ptr<JobRecord> job = {};
  };

  Scheduler(std::unique_ptr<StepEngine> engine, const SchedulerOptions& options);
  void leave(Command command);
  void apply_commands();
  void apply(Command& command);
  void fail_where(bool also_running);
  std::vector<JobRecord*> gather();
  StepBudget budget() const;
  void run(std::vector<StepItem> items);
  void measure(std::int64_t tokens, std::int64_t of_prompts, double seconds);
  void publish();

  const std::unique_ptr<StepEngine> engine_;
  const SchedulerOptions options_;
  const Limits limits_;
  std::function<void()> waker_;
  std::function<void(std::int64_t, double)> observer_;

  mutable std::mutex mutex_;  // of the following members
  std::vector<Command> commands_;
  JobId next_id_ = 1;
  std::int64_t submitted_ = 0, submitted_replies_ = 0;  // in commands_
  std::int64_t waiting_ = 0;                            // in the roster
  bool is_draining_ = false;
  Counters published_;

  Counters counters_;
  PrefixIndex index_;
  Roster roster_;
  OutputReader reader_;
  Composer composer_;
  double reply_seconds_ = 0, token_seconds_ = 0;  // of a token; 0: not measured yet
  bool has_progressed_ = false;
};

}  // namespace moe::inline MOE_ABI::serve

#pragma once
// The plainest JobQueue: one job after the other, each from nothing. What a scheduler's answers are compared with.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include "serve/job.hpp"

namespace moe::inline MOE_ABI::serve {

class SerialQueue final : public JobQueue {
 public:
  /// The session is the queue's thread's alone from now on.
  SerialQueue(std::unique_ptr<Session> session, std::int64_t max_queue);
  ~SerialQueue() override;

  Result<JobId> submit(Job job, std::shared_ptr<JobSink> sink) override;
  void cancel(JobId id) override;
  void pause(JobId id) override;
  void resume(JobId id) override;
  Counters counters() const override;
  /// What waits is failed as cancelled, and what is submitted from now on; what runs goes on.
  void drain();

 private:
  struct Entry {
    JobId id = 0;
    Job job;
    std::shared_ptr<JobSink> sink;
  };
  void work();
  Result<void> run(Entry& entry);
  Result<void> reply(Entry& entry, std::size_t index, Sequence prompt, StepOutput out);
  bool stopped(JobId id);
  Result<Sequence> compute_prompt(const Entry& entry, StepOutput& out);

  std::unique_ptr<Session> session_;
  const std::int64_t room_, max_queue_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Entry> waiting_;
  std::set<JobId> cancelled_, paused_;
  JobId next_ = 1, running_ = 0;
  bool ending_ = false, draining_ = false;
  Counters counters_;
  std::thread thread_;
};

}  // namespace moe::inline MOE_ABI::serve

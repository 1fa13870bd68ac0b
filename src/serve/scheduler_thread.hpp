#pragma once
// The scheduler's thread: it runs steps and sleeps when there is nothing to do.

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "serve/scheduler.hpp"

namespace moe::inline MOE_ABI::serve {

class SchedulerThread {
 public:
  /// The scheduler must outlive the thread, and only this thread may call step(); sets its waker.
  /// Errors: io when the system cannot start a thread.
  static Result<std::unique_ptr<SchedulerThread>> start(Scheduler& scheduler);
  /// As stop().
  ~SchedulerThread();
  SchedulerThread(const SchedulerThread&) = delete;
  SchedulerThread& operator=(const SchedulerThread&) = delete;

  /// Scheduler::drain(); jobs that still run after `patience` fail. `on_end` is called once, at the end of the
  /// scheduler's thread, when no job is left. Returns at once.
  void drain(std::chrono::milliseconds patience, std::function<void()> on_end = {});
  /// Fails all remaining jobs and waits for the thread to end. (A running step is finished, unless
  /// SessionOptions::cancelled ends it.)
  void stop();

 private:
  explicit SchedulerThread(Scheduler& scheduler) : scheduler_(scheduler) {}
  void run();
  void wait(std::unique_lock<std::mutex>& lock);

  Scheduler& scheduler_;
  pthread_t thread_ = {};
  bool is_joined_ = false;

  std::mutex mutex_;  // of the following members
  std::condition_variable changed_;
  bool is_woken_ = false;
  bool is_draining_ = false;
  Clock::time_point deadline_ = {};
  std::function<void()> on_end_;
};

}  // namespace moe::inline MOE_ABI::serve

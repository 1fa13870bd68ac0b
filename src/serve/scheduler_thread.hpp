#pragma once
// The thread in which a scheduler steps: it sleeps when there is nothing to do.

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
  /// The scheduler outlives the thread and is stepped by nobody else; its waker is set here.
  /// Errors: io when the system starts no thread.
  static Result<std::unique_ptr<SchedulerThread>> start(Scheduler& scheduler);
  /// As stop().
  ~SchedulerThread();
  SchedulerThread(const SchedulerThread&) = delete;
  SchedulerThread& operator=(const SchedulerThread&) = delete;

  /// Scheduler::drain(); what still runs after `patience` fails. `on_end` is called once, by the scheduler's thread and as
  /// the last thing it does, when no job is left. Returns at once.
  void drain(std::chrono::milliseconds patience, std::function<void()> on_end = {});
  /// Fails all that is left and returns when the thread has ended. (A step that runs is finished, unless
  /// SessionOptions::cancelled ends it.)
  void stop();

 private:
  explicit SchedulerThread(Scheduler& scheduler) : scheduler_(scheduler) {}
  void run();
  void wait(std::unique_lock<std::mutex>& lock);

  Scheduler& scheduler_;
  pthread_t thread_ = {};
  bool is_joined_ = false;

  std::mutex mutex_;  // of what stands here
  std::condition_variable changed_;
  bool is_woken_ = false;
  bool is_draining_ = false;
  Clock::time_point deadline_ = {};
  std::function<void()> on_end_;
};

}  // namespace moe::inline MOE_ABI::serve

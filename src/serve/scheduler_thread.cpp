#include "serve/scheduler_thread.hpp"

#include <fmt/format.h>

#include <utility>

namespace moe::inline MOE_ABI::serve {

// std::thread would throw where pthread_create returns an error.
Result<std::unique_ptr<SchedulerThread>> SchedulerThread::start(Scheduler& scheduler) {
  std::unique_ptr<SchedulerThread> self(new SchedulerThread(scheduler));
  scheduler.set_waker([raw = self.get()] {
    {
      const std::lock_guard lock(raw->mutex_);
      raw->is_woken_ = true;
    }
    raw->changed_.notify_one();
  });
  const auto body = [](void* thread) -> void* {
    static_cast<SchedulerThread*>(thread)->run();
    return nullptr;
  };
  if (const int refused = pthread_create(&self->thread_, nullptr, body, self.get()); refused != 0) {
    self->is_joined_ = true;
    return fail(ErrorCode::io, fmt::format("the scheduler's thread cannot be started: error {}", refused));
  }
  return self;
}

SchedulerThread::~SchedulerThread() {
  stop();
  scheduler_.set_waker({});
}

void SchedulerThread::drain(std::chrono::milliseconds patience, std::function<void()> on_end) {
  {
    const std::lock_guard lock(mutex_);
    is_draining_ = true;
    deadline_ = Clock::now() + patience;
    if (on_end) on_end_ = std::move(on_end);
  }
  scheduler_.drain();
}

void SchedulerThread::stop() {
  if (std::exchange(is_joined_, true)) return;
  drain(std::chrono::milliseconds(0));
  pthread_join(thread_, nullptr);
}

void SchedulerThread::wait(std::unique_lock<std::mutex>& lock) {
  const auto is_woken = [&] { return is_woken_; };
  if (is_draining_)
    changed_.wait_until(lock, deadline_, is_woken);
  else
    changed_.wait(lock, is_woken);
}

void SchedulerThread::run() {
  bool has_failed_all = false;
  for (;;) {
    const bool is_busy = scheduler_.step();
    std::unique_lock lock(mutex_);
    const bool is_late = is_draining_ && Clock::now() >= deadline_;
    if (is_draining_ && !is_woken_ && scheduler_.is_empty()) break;
    if (is_late && !has_failed_all) {
      has_failed_all = true;
      lock.unlock();
      scheduler_.fail_all();
      continue;
    }
    if (!is_busy && !is_late) wait(lock);
    is_woken_ = false;
  }
  std::function<void()> on_end;
  {
    const std::lock_guard lock(mutex_);
    on_end = std::move(on_end_);
  }
  if (on_end) on_end();
}

}  // namespace moe::inline MOE_ABI::serve

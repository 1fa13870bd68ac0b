#pragma once
// A thread that runs tasks in order: work that is too slow for the I/O thread and must not wait for the model.

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::serve {

class TaskThread {
 public:
  /// post() blocks while `most` tasks are waiting. Tasks must not post to their own thread then.
  explicit TaskThread(std::size_t most = std::numeric_limits<std::size_t>::max())
      : most_(most), thread_([this] { run(); }) {}
  /// Runs waiting tasks, then ends.
  ~TaskThread() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;

  void post(std::function<void()> task) {
    {
      std::unique_lock lock(mutex_);
      room_.wait(lock, [this] { return tasks_.size() < most_; });
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

 private:
  void run() {
    for (std::unique_lock lock(mutex_);;) {
      wake_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      room_.notify_one();
      try {
        task();
      } catch (const std::exception&) {
        // Out of memory. The task's Responder is destroyed, which tells the client that its request failed.
      }
      task = {};
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, room_;
  std::deque<std::function<void()>> tasks_;
  const std::size_t most_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace moe::inline MOE_ABI::serve

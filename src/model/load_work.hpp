#pragma once
// The parallel part of a load: tasks until one fails or the host cancels, with progress in bytes.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "moe/model.hpp"

namespace moe::inline MOE_ABI {

class LoadWork {
 public:
  /// `options` must live as long as this. Only the thread that makes it calls the host's callbacks.
  explicit LoadWork(const LoadOptions& options) : options_(options) {}

  std::int32_t worker_count() const { return options_.threads.worker_count; }
  const LoadOptions& options() const { return options_; }

  /// Bytes of work that run() will do; the host may see the sum grow.
  void expect(std::int64_t bytes) { total_ += bytes; }
  /// By a task, when some of them are done.
  void add(std::int64_t bytes);
  /// A task that sees this ends early.
  bool stops() const { return stop_; }

  /// Tasks 0 to count - 1. Errors: the first of a task; cancelled.
  Result<void> run(std::int64_t count, const std::function<Result<void>(std::int64_t, std::int32_t)>& task);
  /// Reports that all is done.
  void finish();

 private:
  void report();

  const LoadOptions& options_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::atomic<bool> caller_works_{false};  // a task ran in that thread
  std::atomic<std::int64_t> done_{0};
  std::int64_t total_ = 0;
  std::atomic<bool> stop_{false};
  std::mutex error_mutex_;
  std::optional<Error> error_;
  std::chrono::steady_clock::time_point last_report_{};
};

}  // namespace moe::inline MOE_ABI

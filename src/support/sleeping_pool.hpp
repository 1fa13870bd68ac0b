#pragma once
// Threads for work that is interrupted by waiting, as for a disk: they sleep between tasks. OpenMP's spin for 5 to 20 ms
// after every parallel region, and so take the processor from the threads that read; their time cannot be set by a
// library.

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "moe/parallel.hpp"

namespace moe::inline MOE_ABI {

class SleepingPool {
 public:
  /// `worker_count` workers, the caller of the tasks included. Errors: io, when the system starts no more threads.
  static Result<std::unique_ptr<SleepingPool>> create(std::int32_t worker_count);
  SleepingPool(const SleepingPool&) = delete;
  SleepingPool& operator=(const SleepingPool&) = delete;
  ~SleepingPool();

  /// For one calling thread at a time, as long as this object lives.
  ParallelFor pool() { return {run_in, this, worker_count_}; }

 private:
  explicit SleepingPool(std::int32_t worker_count) : worker_count_(worker_count) {}
  static void run_in(void* pool, std::int64_t count, void* context, ParallelFor::Task task) {
    static_cast<SleepingPool*>(pool)->run(count, context, task);
  }
  void run(std::int64_t count, void* context, ParallelFor::Task task);
  void run_tasks(std::int32_t worker);
  void work();

  struct Job {
    std::int64_t count = 0;
    void* context = nullptr;
    ParallelFor::Task task = nullptr;
  };
  const std::int32_t worker_count_;
  std::mutex mutex_;
  std::condition_variable has_job_, is_done_;
  Job job_;
  bool is_open_ = false;  // workers may still join the job
  bool ends_ = false;
  std::int32_t asleep_ = 0;               // in has_job_
  std::atomic<std::int64_t> jobs_{0};     // so far: spinning workers look at it without the lock
  std::atomic<std::int32_t> joined_{0};   // threads that run tasks of the job, the caller not included
  std::atomic<std::int64_t> next_{0};     // task of the job
  std::atomic<std::int32_t> numbers_{0};  // of workers, given once
  std::vector<pthread_t> threads_;
};

}  // namespace moe::inline MOE_ABI

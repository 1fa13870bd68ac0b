#include "support/sleeping_pool.hpp"

#include <chrono>

#include "support/start_thread.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace moe::inline MOE_ABI {
namespace {

using Clock = std::chrono::steady_clock;

// About what waking a thread takes: the regions of a layer follow each other more closely than that.
constexpr std::chrono::microseconds kSpin{40};

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Looks for at most kSpin; false: time is up.
template <class Condition>
bool spin_until(const Condition& condition) {
  const auto end = Clock::now() + kSpin;
  while (!condition()) {
    for (int i = 0; i < 16; ++i) pause_briefly();
    if (Clock::now() >= end) return condition();
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<SleepingPool>> SleepingPool::create(std::int32_t worker_count) {
  std::unique_ptr<SleepingPool> pool(new SleepingPool(worker_count));
  const auto started = start_threads<&SleepingPool::work>("computes", worker_count - 1, pool.get(), pool->threads_);
  if (!started) return forward(started);
  return pool;
}

SleepingPool::~SleepingPool() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
    jobs_.fetch_add(1, std::memory_order_release);
  }
  has_job_.notify_all();
  for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
}

// The caller begins at once: a worker that wakes late, because a thread that reads has its processor, finds the job
// closed and nobody waits for it.
void SleepingPool::run(std::int64_t count, void* context, ParallelFor::Task task) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    job_ = {count, context, task};
    next_.store(0, std::memory_order_relaxed);
    is_open_ = true;
    jobs_.fetch_add(1, std::memory_order_release);
    wake = asleep_ > 0;
  }
  if (wake) has_job_.notify_all();
  run_tasks(0);
  {
    const std::lock_guard lock(mutex_);
    is_open_ = false;
  }
  if (spin_until([&] { return joined_.load(std::memory_order_acquire) == 0; })) return;
  std::unique_lock lock(mutex_);
  is_done_.wait(lock, [&] { return joined_.load(std::memory_order_acquire) == 0; });
}

void SleepingPool::run_tasks(std::int32_t worker) {
  for (;;) {
    const std::int64_t i = next_.fetch_add(1, std::memory_order_relaxed);
    if (i >= job_.count) return;
    job_.task(job_.context, i, worker);
  }
}

void SleepingPool::work() {
  const std::int32_t worker = 1 + numbers_.fetch_add(1, std::memory_order_relaxed);
  std::int64_t seen = 0;
  for (;;) {
    const auto has_more = [&] { return jobs_.load(std::memory_order_acquire) != seen; };
    const bool is_soon = spin_until(has_more);
    {
      std::unique_lock lock(mutex_);
      if (!is_soon) {
        asleep_ += 1;
        has_job_.wait(lock, has_more);
        asleep_ -= 1;
      }
      if (ends_) return;
      seen = jobs_.load(std::memory_order_relaxed);
      if (!is_open_ || next_.load(std::memory_order_relaxed) >= job_.count) continue;
      joined_.fetch_add(1, std::memory_order_relaxed);
    }
    run_tasks(worker);
    const std::lock_guard lock(mutex_);
    if (joined_.fetch_sub(1, std::memory_order_acq_rel) == 1) is_done_.notify_one();
  }
}

}  // namespace moe::inline MOE_ABI

#pragma once
// Threads, from OpenMP or from the host: the interface is one function pointer.

#include <atomic>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Runs task(context, index, worker) for every index in [0, count), on up to worker_count workers; returns when all are
/// done. `worker` in [0, worker_count) is unique among the tasks that run concurrently (it selects the scratch buffer).
/// Results never depend on which worker runs which index.
struct ParallelFor {
  using Task = void (*)(void* context, std::int64_t index, std::int32_t worker);
  void (*run)(void* pool, std::int64_t count, void* context, Task task) = nullptr;
  void* pool = nullptr;
  std::int32_t worker_count = 1;
};

/// The most workers that a pool may have.
inline constexpr std::int32_t kMaxThreads = 1024;

/// OpenMP threads, at most kMaxThreads. 0 means the default: MOE_THREADS (1 to kMaxThreads) or, where it is unset or
/// invalid, the processors that this process may use, by its affinity and the CPU quotas of its control groups.
///
/// OpenMP ends the process when it cannot create a thread. So before a host thread's team grows, libmoe starts and ends
/// as many threads itself; if the system refuses, tasks of that host thread run on fewer workers. This test cannot
/// protect against limits that tighten between the test and OpenMP's own threads, or an OMP_STACKSIZE above the
/// default.
MOE_API ParallelFor openmp_pool(std::int32_t thread_count = 0);

/// The same, with errors reported: OpenMP's threads are running when this returns, and later work of the calling thread
/// creates no more, as long as it uses pools of this many workers (or of one).
/// Errors: bad_argument for a count or MOE_THREADS out of range, io when the system cannot start that many threads.
MOE_API Result<ParallelFor> start_openmp_pool(std::int32_t thread_count = 0);

/// Ends OpenMP's threads of the calling thread; its next parallel work creates them again. Useful for a thread that
/// loads a model for another thread to run: when the threads of all teams outnumber the processors, libgomp puts
/// workers to sleep between tasks instead of spinning, and a small model decodes 10 % slower. No effect with LLVM's
/// OpenMP.
MOE_API void end_openmp_threads();

namespace detail {

/// The body of a parallel loop as tasks. No exception may leave a task (a pool's thread would end the process): the first
/// one is kept, and thrown in the calling thread. The library itself throws nothing but std::bad_alloc.
template <class Body>
class LoopTasks {
 public:
  explicit LoopTasks(Body& body) : body_(body) {}
  static void run(void* context, std::int64_t index, std::int32_t worker) {
    auto& self = *static_cast<LoopTasks*>(context);
#ifdef __cpp_exceptions
    try {
      self.body_(index, worker);
    } catch (...) {
      if (!self.has_thrown_.test_and_set()) self.thrown_ = std::current_exception();
    }
#else
    self.body_(index, worker);
#endif
  }
  void rethrow() {
#ifdef __cpp_exceptions
    if (thrown_ != nullptr) std::rethrow_exception(std::move(thrown_));
#endif
  }

 private:
  Body& body_;
#ifdef __cpp_exceptions
  std::atomic_flag has_thrown_ = ATOMIC_FLAG_INIT;
  std::exception_ptr thrown_;
#endif
};

}  // namespace detail

/// Calls body(index, worker) through the pool. An exception of the body ends that index alone, and is thrown when all
/// are done.
template <class Body>
void parallel_for(const ParallelFor& pool, std::int64_t count, Body&& body) {
  if (count <= 0) return;
  if (pool.run == nullptr || pool.worker_count <= 1 || count == 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
  using Tasks = detail::LoopTasks<std::remove_reference_t<Body>>;
  Tasks tasks(body);
  pool.run(pool.pool, count, &tasks, &Tasks::run);
  tasks.rethrow();
}

}  // namespace moe::inline MOE_ABI

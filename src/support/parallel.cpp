#include "moe/parallel.hpp"

#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "support/cpu_limit.hpp"
#include "support/number.hpp"
#include "support/thread_check.hpp"

namespace moe::inline MOE_ABI {
namespace {

// Thread counts that the calling thread has tested: OpenMP has a team per calling thread. A shrinking team ends its
// other threads, so every growth is tested again.
struct TestedThreads {
  std::int32_t wanted = 1, had = 1;  // the calling thread included
  int error = 0;
};
thread_local TestedThreads tested_threads;

void test_threads(std::int32_t wanted) {
  const StartedThreads others = start_and_end_threads(wanted - 1);
  tested_threads = {wanted, 1 + others.count, others.error};
}

// The pool pointer carries the thread count: OpenMP keeps its own threads, there is nothing else to own.
void run_openmp(void* pool, std::int64_t count, void* context, ParallelFor::Task task) {
  const auto wanted = static_cast<std::int32_t>(reinterpret_cast<std::intptr_t>(pool));
  if (wanted > tested_threads.wanted) test_threads(wanted);
  tested_threads.wanted = wanted;
  const int threads = std::min(wanted, tested_threads.had);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (std::int64_t i = 0; i < count; ++i) task(context, i, omp_get_thread_num());
}

/// For messages: OpenMP's stack size, if set.
std::string about_stacks() {
  const std::size_t bytes = openmp_stack_bytes();
  return bytes == 0 ? std::string() : fmt::format(" with stacks of {} bytes, as OMP_STACKSIZE says", bytes);
}

ParallelFor pool_of(std::int32_t threads) {
  ParallelFor pool;
  pool.run = run_openmp;
  pool.pool = reinterpret_cast<void*>(static_cast<std::intptr_t>(threads));
  pool.worker_count = threads;
  return pool;
}

// 0 if nothing is set, as for the argument.
Result<std::int32_t> threads_of_environment() {
  const char* text = std::getenv("MOE_THREADS");
  if (text == nullptr || *text == '\0') return 0;
  return parse_number<std::int32_t>("MOE_THREADS", text, {0, kMaxThreads});
}

// omp_get_num_procs() knows the affinity, also where OMP_PROC_BIND has narrowed this thread's own.
std::int32_t usable_processors() {
  std::int64_t processors = omp_get_num_procs();
  if (const auto quota = cgroup_cpu_limit()) processors = std::min(processors, *quota);
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(processors, 1, kMaxThreads));
}

}  // namespace

ParallelFor openmp_pool(std::int32_t thread_count) {
  if (thread_count <= 0) thread_count = threads_of_environment().value_or(0);
  return pool_of(thread_count > 0 ? std::min(thread_count, kMaxThreads) : usable_processors());
}

Result<ParallelFor> start_openmp_pool(std::int32_t thread_count) {
  if (thread_count < 0 || thread_count > kMaxThreads)
    return fail(ErrorCode::bad_argument,
                fmt::format("the number of threads is {}, expected 0 to {}", thread_count, kMaxThreads));
  if (thread_count == 0) {
    const auto set = threads_of_environment();
    if (!set) return forward(set);
    thread_count = *set;
  }
  const ParallelFor pool = openmp_pool(thread_count);
  test_threads(pool.worker_count);
  if (tested_threads.had < pool.worker_count)
    return fail(
        ErrorCode::io,
        fmt::format("the system starts {} of {} threads{} ({}): ask for fewer, or raise the limit on processes or "
                    "memory",
                    tested_threads.had, pool.worker_count, about_stacks(),
                    std::error_code(tested_threads.error, std::generic_category()).message()));
  // OpenMP creates its threads now, right after the test, and keeps them.
  run_openmp(pool.pool, pool.worker_count, nullptr, [](void*, std::int64_t, std::int32_t) {});
  return pool;
}

void end_openmp_threads() {
#ifndef KMP_VERSION_MAJOR  // LLVM's OpenMP keeps its threads, and does not count them as libgomp does
  omp_pause_resource_all(omp_pause_soft);
  tested_threads = {};
#endif
}

}  // namespace moe::inline MOE_ABI

#include "moe/parallel.hpp"

#include <omp.h>

#include <algorithm>
#include <cstdlib>

#include "support/cpu_limit.hpp"

namespace moe::inline MOE_ABI {
namespace {

// The pool pointer carries the thread count: OpenMP keeps its own threads, there is nothing else to own.
void run_openmp(void* pool, std::int64_t count, void* context, ParallelFor::Task task) {
  const int threads = static_cast<int>(reinterpret_cast<std::intptr_t>(pool));
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (std::int64_t i = 0; i < count; ++i) task(context, i, omp_get_thread_num());
}

int default_thread_count() {
  if (const char* text = std::getenv("MOE_THREADS")) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (end != text && *end == '\0' && n >= 1 && n <= 1024) return static_cast<int>(n);
  }
  // omp_get_num_procs() knows the affinity, also where OMP_PROC_BIND has narrowed this thread's own.
  std::int64_t processors = omp_get_num_procs();
  if (const auto quota = cgroup_cpu_limit()) processors = std::min(processors, *quota);
  return static_cast<int>(std::clamp<std::int64_t>(processors, 1, 1024));
}

}  // namespace

ParallelFor openmp_pool(std::int32_t thread_count) {
  const int n = thread_count > 0 ? thread_count : default_thread_count();
  ParallelFor pool;
  pool.run = run_openmp;
  pool.pool = reinterpret_cast<void*>(static_cast<std::intptr_t>(n));
  pool.worker_count = n;
  return pool;
}

}  // namespace moe::inline MOE_ABI

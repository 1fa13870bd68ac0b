#pragma once
// Tests whether threads can be created, because OpenMP ends the process when it cannot create one.

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>

#include "moe/parallel.hpp"

namespace moe::inline MOE_ABI {

struct StartedThreads {
  std::int32_t count = 0;
  int error = 0;  ///< errno's number for the one that did not start; 0 when all did
};
/// The stack size of OpenMP's threads: OMP_STACKSIZE or GOMP_STACKSIZE, parsed as by libgomp ("2M", "512 k", "100":
/// kilobytes). 0, the system's default, if neither is set.
std::size_t openmp_stack_bytes();

/// Starts `wanted` threads with OpenMP's stack size, all alive at the same time, and ends them. `wanted` from 0 to
/// kMaxThreads.
StartedThreads start_and_end_threads(std::int32_t wanted);

/// Scratch is sized by the workers of a pool that comes from the host. Errors: bad_argument.
inline Result<void> check_workers(const ParallelFor& threads) {
  if (threads.worker_count >= 1 && threads.worker_count <= kMaxThreads) return {};
  return fail(ErrorCode::bad_argument,
              fmt::format("threads.worker_count is {}, expected 1 to {}", threads.worker_count, kMaxThreads));
}

}  // namespace moe::inline MOE_ABI

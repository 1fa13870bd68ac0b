#pragma once
// Whether threads can be had, before OpenMP ends the process over one that it cannot create.

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>

#include "moe/parallel.hpp"

namespace moe::inline MOE_ABI {

struct StartedThreads {
  std::int32_t count = 0;
  int error = 0;  ///< errno's number for the one that did not start; 0 when all did
};
/// The size of stack that OpenMP gives its threads: what OMP_STACKSIZE or GOMP_STACKSIZE says, read as libgomp reads it
/// ("2M", "512 k", "100": kilobytes). 0, the system's own, where neither says a size.
std::size_t openmp_stack_bytes();

/// Starts threads with OpenMP's stacks that all live at one time, and ends them. `wanted` from 0 to kMaxThreads.
StartedThreads start_and_end_threads(std::int32_t wanted);

/// Scratch is sized by the workers of a pool that comes from the host. Errors: bad_argument.
inline Result<void> check_workers(const ParallelFor& threads) {
  if (threads.worker_count >= 1 && threads.worker_count <= kMaxThreads) return {};
  return fail(ErrorCode::bad_argument,
              fmt::format("threads.worker_count is {}, expected 1 to {}", threads.worker_count, kMaxThreads));
}

}  // namespace moe::inline MOE_ABI

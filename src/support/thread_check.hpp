#pragma once
// Whether threads can be had, before OpenMP ends the process over one that it cannot create.

#include <fmt/format.h>

#include <cstdint>

#include "moe/parallel.hpp"

namespace moe::inline MOE_ABI {

struct StartedThreads {
  std::int32_t count = 0;
  int error = 0;  ///< errno's number for the one that did not start; 0 when all did
};
/// Starts threads that all live at one time, and ends them. `wanted` from 0 to kMaxThreads.
StartedThreads start_and_end_threads(std::int32_t wanted);

/// Scratch is sized by the workers of a pool that comes from the host. Errors: bad_argument.
inline Result<void> check_workers(const ParallelFor& threads) {
  if (threads.worker_count >= 1 && threads.worker_count <= kMaxThreads) return {};
  return fail(ErrorCode::bad_argument,
              fmt::format("threads.worker_count is {}, expected 1 to {}", threads.worker_count, kMaxThreads));
}

}  // namespace moe::inline MOE_ABI

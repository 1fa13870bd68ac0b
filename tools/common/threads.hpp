#pragma once
// The threads of a program's computations.

#include "moe/parallel.hpp"
#include "tools/common/numbers.hpp"

namespace cli {

/// --threads, the same in every program.
inline CLI::Option* add_threads(CLI::App& app, std::int32_t& threads) {
  return add_number(app, "--threads", threads, moe::Bounds<std::int32_t>{0, moe::kMaxThreads},
                    "threads; 0: MOE_THREADS or, where it is unset, the processors this process may use (0)");
}

/// Starts all of them early, because OpenMP ends the program if it cannot create one.
/// Errors: as moe::start_openmp_pool; a wrong MOE_THREADS is a wrong usage.
inline moe::Result<moe::ParallelFor> start_threads(std::int32_t asked) {
  auto threads = moe::start_openmp_pool(asked);
  if (!threads && threads.error().code == moe::ErrorCode::bad_argument)
    throw CLI::ValidationError(threads.error().message, CLI::ExitCodes::ValidationError);
  return threads;
}

}  // namespace cli

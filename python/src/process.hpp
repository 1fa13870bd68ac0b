#pragma once
// Process-wide state: threads, os.fork() and exit.

#include <cstdint>

#include "bindings.hpp"
#include "moe/parallel.hpp"

namespace moe_python {

/// The threads of a model or a call. Errors: those of moe::start_openmp_pool.
moe::ParallelFor start_threads(std::int32_t count);

/// Call it before any computation. Raises in the child of an os.fork() whose parent had threads running, and while the
/// interpreter is shutting down.
void check_process();

/// True once the interpreter is shutting down: native work is cancelled then.
bool process_is_ending() noexcept;

/// Number of forks of this process.
std::int64_t fork_count() noexcept;

/// Native work in progress. The end of the interpreter waits for it: a thread that wants the GIL back after that is
/// ended by CPython in the middle of C++ (nanobind #891).
class InFlight {
 public:
  InFlight() noexcept;
  ~InFlight();
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;
};

}  // namespace moe_python

#pragma once
// What concerns the whole process: its threads, os.fork() and its end.

#include <cstdint>

#include "bindings.hpp"
#include "moe/parallel.hpp"

namespace moe_python {

/// The threads of a model or a call. Errors: those of moe::start_openmp_pool.
moe::ParallelFor start_threads(std::int32_t count);

/// To be asked before anything is computed. Raises in the child of an os.fork() whose parent had threads running, and
/// while the interpreter ends.
void check_process();

/// True once the interpreter ends: native work is given up then.
bool process_is_ending() noexcept;

/// Counts how often this process came out of an os.fork().
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

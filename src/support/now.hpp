#pragma once
// The clock that durations inside the library are measured by.

#include <chrono>
#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Of a clock that only goes forward.
inline std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace moe::inline MOE_ABI

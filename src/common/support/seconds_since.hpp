#pragma once
// Time that has passed.

#include <chrono>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace moe::inline MOE_ABI

#pragma once
// What the checks of hyperparameters share, and the one that has a file of its own.

#include <fmt/format.h>

#include <cmath>
#include <initializer_list>
#include <string>
#include <utility>

#include "moe/config.hpp"

namespace moe::inline MOE_ABI::config_checks {

constexpr std::int64_t kMaxPosition = 1 << 26;  // Llama-4-Scout: 10 M

struct Bounded {
  const char* field;
  std::int64_t value, low, high;
};
struct Positive {
  const char* field;
  double value, high;
};

inline tl::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::bad_config, "config: " + std::move(message));
}

inline Result<void> check_ranges(std::initializer_list<Bounded> fields) {
  for (const Bounded& f : fields)
    if (f.value < f.low || f.value > f.high)
      return refuse(fmt::format("{} is {}, expected {}..{}", f.field, f.value, f.low, f.high));
  return {};
}

/// Refuses NaN, infinity, zero and numbers that are not positive after rounding to float32.
inline Result<void> check_positive(std::initializer_list<Positive> fields) {
  for (const Positive& f : fields)
    if (!std::isfinite(f.value) || !(static_cast<float>(f.value) > 0.0f) || f.value > f.high)
      return refuse(fmt::format("{} is {}, expected a positive number up to {}", f.field, f.value, f.high));
  return {};
}

/// `rotated_dim`: values of a head that it rotates. Errors: bad_config.
Result<void> check_rope(const RopeConfig& r, std::int64_t rotated_dim);

}  // namespace moe::inline MOE_ABI::config_checks

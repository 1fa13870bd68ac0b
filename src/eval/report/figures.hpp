#pragma once
// How numbers are written in tables and sentences.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

inline std::string percent(double x) { return fmt::format("{:.2f}", 100 * x); }
inline std::string percent(const std::optional<double>& x) { return x ? percent(*x) : "N/A"; }

/// Three significant digits with a unit of 1000.
inline std::string scaled(double x) {
  static constexpr const char* kUnits[] = {"", "k", "M", "G", "T", "P"};
  std::size_t unit = 0;
  for (; std::abs(x) >= 999.5 && unit + 1 < std::size(kUnits); ++unit) x /= 1000;
  const int digits = unit == 0 && x == std::floor(x) ? 0 : std::abs(x) >= 99.95 ? 0 : std::abs(x) >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", x, digits, kUnits[unit]);
}

/// GFLOPs over the whole range from nano models to large ones.
inline std::string giga(double flops) { return fmt::format("{:.4g}", flops / 1e9); }

}  // namespace moe::inline MOE_ABI::eval

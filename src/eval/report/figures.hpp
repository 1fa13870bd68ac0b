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

inline std::string p_text(double p) { return p < 1e-4 ? fmt::format("{:.0e}", p) : fmt::format("{:.4f}", p); }

/// 1,234,567
inline std::string grouped(std::int64_t x) {
  std::string digits = std::to_string(x);
  for (std::size_t at = digits.size(); at > 3 + (x < 0 ? 1u : 0u); at -= 3) digits.insert(at - 3, ",");
  return digits;
}

}  // namespace moe::inline MOE_ABI::eval

#include "support/python_float.hpp"

#include <fmt/format.h>

#include <cmath>

namespace moe::inline MOE_ABI {

std::string python_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string digits = fmt::format("{}", value);
  if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
  return digits;
}

}  // namespace moe::inline MOE_ABI

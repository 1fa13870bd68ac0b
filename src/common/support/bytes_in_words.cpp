#include "support/bytes_in_words.hpp"

#include <fmt/format.h>

#include <string_view>

namespace moe::inline MOE_ABI {

std::string bytes_in_words(std::int64_t bytes) {
  constexpr std::string_view kUnits = "KMGT";
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (value /= 1024.0; value >= 1024.0 && unit + 1 < kUnits.size(); value /= 1024.0) ++unit;
  return fmt::format("{:.1f} {}iB", value, kUnits[unit]);
}

}  // namespace moe::inline MOE_ABI

#include "chat/search.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace moe::inline MOE_ABI::chat {
namespace {

// Short parts are found by the library: its worst case is this many comparisons per byte.
constexpr std::size_t kShort = 16;

// Knuth, Morris and Pratt. `at(i)` reads byte i of the whole, so that it also searches backwards.
template <class At>
std::size_t linear_find(At at, std::size_t size, std::string_view part) {
  if (part.size() > size) return std::string_view::npos;
  std::vector<std::uint32_t> fallback(part.size(), 0);
  for (std::size_t i = 1, k = 0; i < part.size(); ++i) {
    while (k > 0 && part[i] != part[k]) k = fallback[k - 1];
    if (part[i] == part[k]) ++k;
    fallback[i] = static_cast<std::uint32_t>(k);
  }
  for (std::size_t i = 0, k = 0; i < size; ++i) {
    while (k > 0 && at(i) != part[k]) k = fallback[k - 1];
    if (at(i) == part[k]) ++k;
    if (k == part.size()) return i + 1 - k;
  }
  return std::string_view::npos;
}

}  // namespace

std::size_t find_bytes(std::string_view whole, std::string_view part, std::size_t from) {
  if (part.size() <= kShort || from > whole.size()) return whole.find(part, from);
  const std::size_t found = linear_find([&](std::size_t i) { return whole[from + i]; }, whole.size() - from, part);
  return found == std::string_view::npos ? found : from + found;
}

std::size_t rfind_bytes(std::string_view whole, std::string_view part) {
  if (part.size() <= kShort) return whole.rfind(part);
  const std::string backwards(part.rbegin(), part.rend());
  const std::size_t found =
      linear_find([&](std::size_t i) { return whole[whole.size() - 1 - i]; }, whole.size(), backwards);
  return found == std::string_view::npos ? found : whole.size() - found - part.size();
}

}  // namespace moe::inline MOE_ABI::chat

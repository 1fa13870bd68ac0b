#include "support/memory_limit.hpp"

#include <charconv>

#include "support/cgroup.hpp"

namespace moe::inline MOE_ABI {
namespace {

// The digits at the beginning of the text.
std::optional<std::int64_t> leading_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::int64_t> bytes_of_memory_max(std::string_view text) {
  constexpr std::int64_t kNoLimit = std::int64_t{1} << 60;  // version 1 writes 2^63 less a page
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  const auto bytes = leading_number(text);
  return bytes && *bytes < kNoLimit ? bytes : std::nullopt;
}

std::optional<std::int64_t> cgroup_memory_limit(const std::string& root) {
  std::optional<std::int64_t> least;
  for_each_cgroup("memory", root, [&](bool version_2, const std::string& folder) {
    const auto limit =
        bytes_of_memory_max(cgroup_text(folder + (version_2 ? "/memory.max" : "/memory.limit_in_bytes")));
    if (limit && (!least || *limit < *least)) least = limit;
  });
  return least;
}

std::optional<std::int64_t> available_bytes(const std::string& root) {
  constexpr std::string_view kKey = "MemAvailable:";
  const std::string text = cgroup_text(root + "/proc/meminfo");
  const std::size_t key = text.find(kKey);
  if (key == std::string::npos) return std::nullopt;
  const std::size_t number = text.find_first_not_of(' ', key + kKey.size());
  if (number == std::string::npos) return std::nullopt;
  const auto kib = leading_number(std::string_view(text).substr(number));
  return kib && *kib < (std::int64_t{1} << 50) ? std::optional(*kib * 1024) : std::nullopt;
}

}  // namespace moe::inline MOE_ABI

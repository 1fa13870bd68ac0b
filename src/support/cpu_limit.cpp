#include "support/cpu_limit.hpp"

#include <charconv>

#include "support/cgroup.hpp"

namespace moe::inline MOE_ABI {
namespace {

std::optional<std::int64_t> microseconds(std::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size() || value <= 0) return std::nullopt;
  return value;
}

std::optional<std::int64_t> rounded_up(std::optional<std::int64_t> quota, std::optional<std::int64_t> period) {
  if (!quota || !period) return std::nullopt;
  return *quota / *period + (*quota % *period != 0 ? 1 : 0);
}

std::optional<std::int64_t> limit_of_group(bool version_2, const std::string& folder) {
  if (version_2) return cpus_of_cpu_max(cgroup_text(folder + "/cpu.max"));
  return cpus_of_cfs(cgroup_text(folder + "/cpu.cfs_quota_us"), cgroup_text(folder + "/cpu.cfs_period_us"));
}

}  // namespace

std::optional<std::int64_t> cpus_of_cpu_max(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  return rounded_up(microseconds(text.substr(0, space)), microseconds(text.substr(space + 1)));
}

std::optional<std::int64_t> cpus_of_cfs(std::string_view quota, std::string_view period) {
  return rounded_up(microseconds(quota), microseconds(period));
}

std::optional<std::int64_t> cgroup_cpu_limit(const std::string& root) {
  std::optional<std::int64_t> least;
  for_each_cgroup("cpu", root, [&](bool version_2, const std::string& folder) {
    const auto limit = limit_of_group(version_2, folder);
    if (limit && (!least || *limit < *least)) least = limit;
  });
  return least;
}

}  // namespace moe::inline MOE_ABI

#pragma once
// The CPU quota of this process's control groups: containers limit CPU time, not the number of visible processors.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// A quota in processors, rounded up: `cpu.max` of version 2, "150000 100000" is 2, "max 100000" is none.
/// A text of another form is none.
std::optional<std::int64_t> cpus_of_cpu_max(std::string_view text);
/// The same of version 1's cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us.
std::optional<std::int64_t> cpus_of_cfs(std::string_view quota, std::string_view period);

/// The least quota of the control groups that hold this process, from its own up to the topmost that is mounted; none
/// without a limit. `root` is a prefix of all paths ("": the real ones).
std::optional<std::int64_t> cgroup_cpu_limit(const std::string& root = {});

}  // namespace moe::inline MOE_ABI

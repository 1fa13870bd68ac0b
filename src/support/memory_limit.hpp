#pragma once
// How much memory this process may take: what the machine has left, and limits of control groups.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Of version 2's memory.max and version 1's memory.limit_in_bytes: "max", the kernel's largest number and other texts
/// are no limit.
std::optional<std::int64_t> bytes_of_memory_max(std::string_view text);

/// The least limit of the control groups that hold this process; none without one. `root` is a prefix of all paths.
std::optional<std::int64_t> cgroup_memory_limit(const std::string& root = {});

/// MemAvailable of /proc/meminfo: free, or taken by caches that give way.
std::optional<std::int64_t> available_bytes(const std::string& root = {});

}  // namespace moe::inline MOE_ABI

#pragma once
// The control groups that hold this process: containers limit CPU time and memory there.

#include <functional>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Calls visit(version 2, folder) for the process's group and each of its ancestors that is mounted, in every hierarchy
/// with this controller ("cpu", "memory"). `root` is a prefix of all paths ("": the real ones).
void for_each_cgroup(std::string_view controller, const std::string& root,
                     const std::function<void(bool version_2, const std::string& folder)>& visit);

/// "" if unreadable.
std::string cgroup_text(const std::string& path);

}  // namespace moe::inline MOE_ABI

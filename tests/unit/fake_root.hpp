#pragma once
// A root directory as the kernel shows it to a process in control groups.

#include "../scratch_dir.hpp"

namespace moe_test {

struct FakeRoot : ScratchDir {
  FakeRoot() : ScratchDir("moe_fake_root") {}
  FakeRoot& file(const std::string& path, const std::string& text) {
    write(path, text);
    return *this;
  }
  FakeRoot& groups(const std::string& text) { return file("proc/self/cgroup", text); }
  FakeRoot& mounts(const std::string& text) { return file("proc/self/mountinfo", text); }
  /// The CPU quota of a group in version 1.
  FakeRoot& cfs(const std::string& group, const std::string& quota, const std::string& period) {
    return file(group + "/cpu.cfs_quota_us", quota + "\n").file(group + "/cpu.cfs_period_us", period + "\n");
  }
};

}  // namespace moe_test

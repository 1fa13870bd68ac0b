// Limits of memory as the kernel writes them, in both versions of control groups.

#include "support/memory_limit.hpp"

#include <doctest/doctest.h>

#include <optional>

#include "moe/memory_plan.hpp"
#include "unit/fake_root.hpp"

namespace memory_limit_test {

namespace {

using Limit = std::optional<std::int64_t>;

}  // namespace

TEST_CASE("a limit is a whole number; everything else is none") {
  const std::pair<const char*, Limit> cases[] = {{"1073741824\n", 1073741824},
                                                 {"0\n", 0},
                                                 {"268435456", 268435456},
                                                 {"max\n", {}},
                                                 {"9223372036854771712\n", {}},  // version 1: no limit
                                                 {"9223372036854775808\n", {}},
                                                 {"", {}},
                                                 {"\n", {}},
                                                 {"-1\n", {}},
                                                 {"1G\n", {}},
                                                 {" 5\n", {}}};
  for (const auto& [text, expected] : cases) {
    const std::string shown = text;
    CAPTURE(shown);
    CHECK(moe::bytes_of_memory_max(shown) == expected);
  }
}

TEST_CASE("version 2: the least of the group and what is above it") {
  moe_test::FakeRoot root;
  root.mounts("25 1 0:22 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n").groups("0::/outer/inner\n");
  CHECK(moe::cgroup_memory_limit(root.dir.string()) == Limit{});
  root.file("sys/fs/cgroup/outer/inner/memory.max", "max\n").file("sys/fs/cgroup/outer/memory.max", "8589934592\n");
  CHECK(moe::cgroup_memory_limit(root.dir.string()) == Limit{8589934592});
  root.file("sys/fs/cgroup/outer/inner/memory.max", "268435456\n");
  CHECK(moe::cgroup_memory_limit(root.dir.string()) == Limit{268435456});
}

TEST_CASE("version 1: the memory controller's hierarchy, not another's") {
  moe_test::FakeRoot root;
  root.file("proc/self/mountinfo",
            "33 31 0:30 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
            "35 31 0:32 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n")
      .file("proc/self/cgroup", "4:cpu,cpuacct:/job\n7:memory:/job\n")
      .file("sys/fs/cgroup/cpu/job/memory.limit_in_bytes", "1\n")
      .file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
      .file("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "536870912\n");
  CHECK(moe::cgroup_memory_limit(root.dir.string()) == Limit{536870912});
}

TEST_CASE("available memory is MemAvailable, in kibibytes") {
  moe_test::FakeRoot root;
  CHECK(moe::available_bytes(root.dir.string()) == Limit{});
  root.file("proc/meminfo", "MemTotal:       24000000 kB\nMemFree:  5 kB\nMemAvailable:   20000000 kB\n");
  CHECK(moe::available_bytes(root.dir.string()) == Limit{20000000LL * 1024});
  root.file("proc/meminfo", "MemAvailable: many kB\n");
  CHECK(moe::available_bytes(root.dir.string()) == Limit{});
  const auto here = moe::default_memory_limit();
  REQUIRE(here.has_value());
  CHECK(*here > (std::int64_t{64} << 20));
}

}  // namespace memory_limit_test

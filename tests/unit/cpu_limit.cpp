// The default number of threads: CPU quotas of control groups, the affinity, MOE_THREADS.

#include "support/cpu_limit.hpp"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "../program.hpp"
#include "moe/parallel.hpp"
#include "unit/fake_root.hpp"

namespace cpu_limit_test {

namespace {

namespace fs = std::filesystem;
using Limit = std::optional<std::int64_t>;

struct Root : moe_test::FakeRoot {
  Limit limit() const { return moe::cgroup_cpu_limit(dir.string()); }
};

const std::string kVersion2 = "25 1 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const std::string kVersion1 =
    "31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755\n"
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:10 - cgroup cgroup rw,memory\n";

/// What a child process makes of `body`, from 0 to 255.
int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a quota is worth its processors, rounded up") {
  const std::pair<const char*, Limit> cases[] = {{"150000 100000\n", 2},
                                                 {"100000 100000\n", 1},
                                                 {"100001 100000\n", 2},
                                                 {"1000 100000\n", 1},
                                                 {"800000 50000", 16},
                                                 {"9223372036854775807 1000\n", 9223372036854776},
                                                 {"9223372036854775807 1\n", 9223372036854775807},
                                                 // No limit, or nothing that the kernel writes.
                                                 {"max 100000\n", {}},
                                                 {"", {}},
                                                 {"\n", {}},
                                                 {"150000", {}},
                                                 {"150000 \n", {}},
                                                 {" 100000\n", {}},
                                                 {"150000 0\n", {}},
                                                 {"0 100000\n", {}},
                                                 {"-1 100000\n", {}},
                                                 {"150000 -1\n", {}},
                                                 {"1.5 1\n", {}},
                                                 {"150000  100000\n", {}},
                                                 {"150000 100000 7\n", {}},
                                                 {"150000 100000x\n", {}},
                                                 {"150000\t100000\n", {}},
                                                 {"9223372036854775808 100000\n", {}},
                                                 {"99999999999999999999999 100000\n", {}},
                                                 {"0x10 0x10", {}}};
  for (const auto& c : cases) {
    CAPTURE(c.first);
    CHECK(moe::cpus_of_cpu_max(c.first) == c.second);
  }
  CHECK(moe::cpus_of_cfs("150000\n", "100000\n") == Limit(2));
  for (const auto& [quota, period] : std::vector<std::pair<const char*, const char*>>{
           {"-1\n", "100000\n"}, {"", ""}, {"150000\n", ""}, {"150000\n", "0\n"}, {"max\n", "100000\n"}})
    CHECK_FALSE(moe::cpus_of_cfs(quota, period).has_value());
}

TEST_CASE("version 2: the least quota from the process's group up to the root") {
  const Root nothing;
  CHECK_FALSE(nothing.limit().has_value());

  Root root;
  root.mounts(kVersion2).groups("0::/outer/in ner/task\n");
  root.file("sys/fs/cgroup/outer/in ner/task/cpu.max", "max 100000\n");
  CHECK_FALSE(root.limit().has_value());
  root.file("sys/fs/cgroup/outer/cpu.max", "350000 100000\n");
  CHECK(root.limit() == Limit(4));
  root.file("sys/fs/cgroup/outer/in ner/cpu.max", "150000 100000\n");
  CHECK(root.limit() == Limit(2));
  root.file("sys/fs/cgroup/outer/in ner/task/cpu.max", "600000 100000\n");
  CHECK(root.limit() == Limit(2));
  root.file("sys/fs/cgroup/cpu.max", "90000 100000\n");  // a container sees its own group as the root
  CHECK(root.limit() == Limit(1));
  root.file("sys/fs/cgroup/elsewhere/cpu.max", "1000 100000\n").groups("0::/outer\n");
  root.file("sys/fs/cgroup/cpu.max", "max 100000\n");
  CHECK(root.limit() == Limit(4));
}

TEST_CASE("version 1: the hierarchy with the cpu controller, wherever it is mounted") {
  Root root;
  root.mounts(kVersion1).groups("9:name=systemd:/x\n5:memory:/mem\n4:cpu,cpuacct:/docker/abc\n0::/\n");
  root.cfs("sys/fs/cgroup/cpu,cpuacct/docker/abc", "250000", "100000");
  root.cfs("sys/fs/cgroup/memory/mem", "1000", "100000");  // not this controller's
  CHECK(root.limit() == Limit(3));
  root.cfs("sys/fs/cgroup/cpu,cpuacct/docker", "50000", "50000").cfs("sys/fs/cgroup/cpu,cpuacct", "-1", "100000");
  CHECK(root.limit() == Limit(1));
  // "cpu" is a word of the list, not a part of one.
  root.groups("4:cpuacct:/docker/abc\n3:cpuset:/docker/abc\n");
  CHECK_FALSE(root.limit().has_value());
}

TEST_CASE("a container that sees its group mounted as the root") {
  Root root;
  // The host's path of the group, and the group itself mounted.
  root.mounts("33 31 0:30 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n").groups("4:cpu:/docker/abc\n");
  root.cfs("sys/fs/cgroup/cpu", "120000", "100000");
  CHECK(root.limit() == Limit(2));
  root.groups("4:cpu:/docker/abc/job\n").cfs("sys/fs/cgroup/cpu/job", "100000", "100000");
  CHECK(root.limit() == Limit(1));
  // Another group's name begins alike; paths of another namespace lead out: what is mounted is all that is known.
  for (const char* other :
       {"4:cpu:/docker/abcd\n", "4:cpu:/../job\n", "4:cpu:/kube/xyz\n", "4:cpu:\n", "4:cpu:job\n"}) {
    root.groups(other);
    CHECK(root.limit() == Limit(2));
  }
  // A mount point with a space, as mountinfo writes it.
  root.mounts("33 31 0:30 / /my\\040groups rw - cgroup2 cgroup2 rw\n").groups("0::/a\n");
  root.file("my groups/a/cpu.max", "100000 100000\n");
  CHECK(root.limit() == Limit(1));
}

TEST_CASE("files of another form limit nothing") {
  Root root;
  root.groups("0::/a\n").file("sys/fs/cgroup/a/cpu.max", "100000 100000\n");
  for (const std::string mounts :
       {"", "\n\n", "25\n", "25 1 0:22 / /sys/fs/cgroup rw - cgroup2\n", "25 1 0:22 / - cgroup2 cgroup2 rw\n",
        "25 1 0:22 / /sys/fs/cgroup rw cgroup2 cgroup2 rw\n", "- - - - - - - - - -\n"}) {
    CAPTURE(mounts);
    root.mounts(mounts);
    CHECK_FALSE(root.limit().has_value());
  }
  root.mounts(kVersion2);
  CHECK(root.limit() == Limit(1));
  for (const std::string groups : {"", "0\n", "0:\n", ":::::\n", "::", "1:cpu:/a\n"}) {
    CAPTURE(groups);
    root.groups(groups);
    CHECK_FALSE(root.limit().has_value());
  }
  std::string deep = "0::";
  for (int i = 0; i < 2000; ++i) deep += "/d";
  root.groups(deep + "\n").file("sys/fs/cgroup/cpu.max", "300000 100000\n");
  CHECK(root.limit() == Limit(3));
}

TEST_CASE("the affinity bounds the default number of threads; MOE_THREADS and an argument override it") {
  CHECK(in_child([] {
          unsetenv("MOE_THREADS");
          cpu_set_t allowed, one;
          CPU_ZERO(&allowed);
          CPU_ZERO(&one);
          if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 200;
          for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
            if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &one);
          if (sched_setaffinity(0, sizeof one, &one) != 0) return 201;
          return static_cast<int>(moe::openmp_pool().worker_count);
        }) == 1);
  CHECK(in_child([] {
          setenv("MOE_THREADS", "3", 1);
          return static_cast<int>(moe::openmp_pool().worker_count * 10 + moe::openmp_pool(2).worker_count);
        }) == 32);
}

TEST_CASE("a real control group's quota bounds the default number of threads") {
  const auto skip = [](const std::string& why) { moe_test::report_skip("quota of a real control group", why); };
  const fs::path cpu = "/sys/fs/cgroup/cpu";
  if (!fs::exists(cpu / "cpu.cfs_quota_us")) return skip("no version 1 hierarchy with the cpu controller");
  const fs::path group = cpu / ("moe_test_" + std::to_string(getpid()));
  std::error_code failed;
  if (!fs::create_directory(group, failed)) return skip("no right to create one");
  std::ofstream(group / "cpu.cfs_period_us") << "100000" << std::flush;
  const bool set = (std::ofstream(group / "cpu.cfs_quota_us") << "100000" << std::flush).good();
  const int threads = !set ? 0 : in_child([&] {
    unsetenv("MOE_THREADS");
    if (!(std::ofstream(group / "cgroup.procs") << getpid() << std::flush).good()) return 0;
    return static_cast<int>(moe::openmp_pool().worker_count);
  });
  fs::remove(group, failed);
  if (threads == 0) return skip("no right to use one");
  CHECK(threads == 1);
}

}  // namespace cpu_limit_test

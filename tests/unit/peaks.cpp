// Measuring the machine's peaks ends soon after Ctrl-C, whatever is being measured; disks are measured on the file that
// was named, and nothing is left behind.

#include "bench/peaks.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "bench/disk_limit.hpp"
#include "scratch_dir.hpp"
#include "support.hpp"

extern "C" int moe_test_threads_alive();  // scarce_threads.cpp, which is linked into this program

TEST_CASE("every measurement asks whether it was cancelled, and ends then") {
  const std::vector<std::function<bool(const std::function<bool()>&)>> measurements = {
      [](const std::function<bool()>& cancelled) {
        const auto found = moe_bench::measure_peaks(1, cancelled);
        return !found && found.error().code == moe::ErrorCode::cancelled;
      },
      [](const std::function<bool()>& cancelled) {
        const auto found = moe_bench::measure_read_bandwidth(1, cancelled);
        return !found && found.error().code == moe::ErrorCode::cancelled;
      }};
  for (const auto& measure : measurements)
    for (const int after : {1, 3}) {  // the last repetition of the first figure
      CAPTURE(after);
      int asked = 0;
      CHECK(measure([&] { return ++asked == after; }));
      CHECK(asked == after);
    }
}

TEST_CASE("a disk is measured on a file that is long enough, for as long as was asked") {
  const moe_test::ScratchDir s("moe_disk");
  s.write("small", std::string(4095, 'x'));
  s.write("file", std::string(std::size_t{1} << 20, 'x'));
  const auto small = moe_bench::DiskFile::open(s / "small");
  REQUIRE(small);
  const auto too_small = small->measure({.read_bytes = 4096, .threads = 1, .seconds = 0.01});
  REQUIRE_FALSE(too_small);
  CHECK(too_small.error().message.find("has 4095 bytes, expected at least 4096") != std::string::npos);

  const auto file = moe_bench::DiskFile::open(s / "file");
  REQUIRE(file);
  for (const std::int32_t threads : {1, 3}) {
    const auto limit = file->measure({.read_bytes = 65536, .threads = threads, .seconds = 0.05});
    REQUIRE(limit);
    CHECK(limit->bytes_per_second >= 65536);
    CHECK(limit->reads.threads == threads);
  }
  const auto to_memory =
      file->measure({.read_bytes = 65536, .threads = 3, .seconds = 0.05, .memory_bytes = std::int64_t{16} << 20});
  REQUIRE(to_memory);
  CHECK(to_memory->bytes_per_second >= 65536);
  const auto cancelled = file->measure({.seconds = 60.0}, [] { return true; });
  REQUIRE_FALSE(cancelled);
  CHECK(cancelled.error().code == moe::ErrorCode::cancelled);

  CHECK(moe_bench::DiskFile::open(s / "absent").error().code == moe::ErrorCode::not_found);
  CHECK(moe_bench::DiskFile::open("/dev/null").error().code == moe::ErrorCode::io);
}

TEST_CASE("a disk that cannot be read is named with the reason, and without waiting for the time to be up") {
  const moe_test::ScratchDir s("moe_disk_reasons");
  s.write("file", std::string(std::size_t{1} << 20, 'x'));
  const auto file = moe_bench::DiskFile::open(s / "file");
  REQUIRE(file);
  // No multiple of a sector: where the file system has O_DIRECT, it may say so.
  const auto odd = file->measure({.read_bytes = 1000, .threads = 1, .seconds = 0.01});
  if (!odd) CHECK_MESSAGE(odd.error().message.find("Invalid argument") != std::string::npos, odd.error().message);
  std::filesystem::resize_file(s / "file", 0);
  const auto shorter = file->measure({.read_bytes = 65536, .threads = 2, .seconds = 3600.0});
  REQUIRE_FALSE(shorter);
  CHECK(shorter.error().code == moe::ErrorCode::io);
  CHECK_MESSAGE(shorter.error().message.find("shorter") != std::string::npos, shorter.error().message);
}

TEST_CASE("threads that the system refuses to measure with are an error") {
  const moe_test::ScratchDir s("moe_disk_threads");
  s.write("file", std::string(std::size_t{1} << 20, 'x'));
  const auto file = moe_bench::DiskFile::open(s / "file");
  REQUIRE(file);
  REQUIRE(setenv("MOE_TEST_THREADS", std::to_string(moe_test_threads_alive() + 2).c_str(), 1) == 0);
  const auto refused = file->measure({.read_bytes = 65536, .threads = 4, .seconds = 3600.0});
  unsetenv("MOE_TEST_THREADS");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == moe::ErrorCode::io);
  CHECK_MESSAGE(refused.error().message.find("reads the disk") != std::string::npos, refused.error().message);
}

TEST_CASE("a folder's disk is measured on a file that has no name at any time") {
  const moe_test::ScratchDir s("moe_disk_folder");
  int asked = 0;
  bool is_empty = true;
  const auto file = moe_bench::DiskFile::open(s / "", [&] {
    is_empty = is_empty && std::filesystem::is_empty(s / "");
    return ++asked == 2;
  });
  REQUIRE_FALSE(file);
  CHECK(file.error().code == moe::ErrorCode::cancelled);
  CHECK(asked == 2);
  CHECK(is_empty);
  CHECK(std::filesystem::is_empty(s / ""));
}

TEST_CASE("a disk that is full is named with the reason") {
  const moe_test::ScratchDir s("moe_disk_full");
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit small{1000000, 1000000};  // inside of a piece, of which a part is written
    if (std::signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &small) != 0) _exit(3);
    const auto file = moe_bench::DiskFile::open(s / "");
    _exit(!file && file.error().message.find("File too large") != std::string::npos ? 0 : 4);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(std::filesystem::is_empty(s / ""));
}

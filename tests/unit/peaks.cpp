// Measuring the machine's peaks ends soon after Ctrl-C, whatever is being measured; disks are measured on the file that
// was named, and nothing is left behind.

#include "bench/peaks.hpp"

#include <filesystem>
#include <functional>

#include "bench/disk_limit.hpp"
#include "scratch_dir.hpp"
#include "support.hpp"

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
  const auto cancelled = file->measure({.seconds = 60.0}, [] { return true; });
  REQUIRE_FALSE(cancelled);
  CHECK(cancelled.error().code == moe::ErrorCode::cancelled);

  CHECK(moe_bench::DiskFile::open(s / "absent").error().code == moe::ErrorCode::not_found);
  CHECK(moe_bench::DiskFile::open("/dev/null").error().code == moe::ErrorCode::io);
}

TEST_CASE("a folder's disk is measured on a file that is gone when it was interrupted, too") {
  const moe_test::ScratchDir s("moe_disk_folder");
  int asked = 0;
  const auto file = moe_bench::DiskFile::open(s / "", [&] { return ++asked == 2; });
  REQUIRE_FALSE(file);
  CHECK(file.error().code == moe::ErrorCode::cancelled);
  CHECK(asked == 2);
  CHECK(std::filesystem::is_empty(s / ""));
}

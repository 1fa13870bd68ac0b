#include "bench/disk_limit.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "moe/tensor.hpp"
#include "support/show.hpp"

namespace moe_bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t kAlignment = 4096;
constexpr double kSeconds = 2.0;

struct File {
  int descriptor = -1;
  explicit File(int d) : descriptor(d) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor >= 0) close(descriptor);
  }
};

tl::unexpected<moe::Error> cannot(const char* what, const std::string& path) {
  return moe::fail(errno == ENOENT ? moe::ErrorCode::not_found : moe::ErrorCode::io,
                   "cannot " + std::string(what) + " " + moe::in_quotes(path) + ": " + std::strerror(errno));
}

// Pieces at random places until time is up; false after a failed read.
bool read_pieces(int descriptor, std::int64_t pieces, std::int64_t bytes, std::uint32_t seed, Clock::time_point end,
                 const std::atomic<bool>& stop, std::int64_t& done) {
  auto buffer = moe::AlignedBuffer<std::byte>::create(static_cast<std::size_t>(bytes + kAlignment));
  if (!buffer) return false;
  const auto start = reinterpret_cast<std::uintptr_t>(buffer->data());
  std::byte* aligned = buffer->data() + ((start + kAlignment - 1) / kAlignment * kAlignment - start);
  std::minstd_rand random(seed);
  while (!stop && Clock::now() < end) {
    const std::int64_t at = static_cast<std::int64_t>(random()) % pieces * bytes;
    if (pread(descriptor, aligned, static_cast<std::size_t>(bytes), at) != bytes) return false;
    done += bytes;
  }
  return true;
}

}  // namespace

moe::Result<DiskLimit> measure_disk(const std::string& path, std::int64_t read_bytes, std::int32_t threads,
                                    const std::function<bool()>& cancelled) {
  DiskLimit limit{0.0, read_bytes, threads, true};
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (descriptor < 0 && errno == EINVAL) {
    limit.is_direct = false;
    descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  }
  if (descriptor < 0) return cannot("open", path);
  const File file(descriptor);
  struct stat info = {};
  if (fstat(descriptor, &info) != 0) return cannot("read", path);
  const std::int64_t pieces = static_cast<std::int64_t>(info.st_size) / read_bytes;
  if (pieces < 1)
    return moe::fail(moe::ErrorCode::io, moe::in_quotes(path) + " has " + std::to_string(info.st_size) +
                                             " bytes, expected at least " + std::to_string(read_bytes));
  std::atomic<bool> stop{false}, failed{false};
  std::vector<std::int64_t> done(static_cast<std::size_t>(threads), 0);
  std::vector<std::thread> readers;
  const auto started = Clock::now();
  // Other places in each measurement: what was read once may be in a host's memory.
  const auto seed = static_cast<std::uint32_t>(started.time_since_epoch().count());
  const auto end = started + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(kSeconds));
  for (std::int32_t t = 0; t < threads; ++t)
    readers.emplace_back([&, t] {
      if (!read_pieces(descriptor, pieces, read_bytes, seed + static_cast<std::uint32_t>(t), end, stop,
                       done[static_cast<std::size_t>(t)]))
        failed = true;
    });
  while (Clock::now() < end && !failed) {
    if (cancelled && cancelled()) stop = true;
    if (stop) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  for (std::thread& reader : readers) reader.join();
  if (stop) return moe::fail(moe::ErrorCode::cancelled, "interrupted");
  if (failed) return moe::fail(moe::ErrorCode::io, "cannot read " + moe::in_quotes(path));
  const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
  std::int64_t bytes = 0;
  for (const std::int64_t n : done) bytes += n;
  limit.bytes_per_second = static_cast<double>(bytes) / seconds;
  return limit;
}

moe::Result<DiskLimit> measure_disk_of_folder(const std::string& folder, std::int64_t read_bytes, std::int32_t threads,
                                              const std::function<bool()>& cancelled) {
  constexpr std::int64_t kBytes = std::int64_t{1} << 30, kPiece = std::int64_t{4} << 20;
  std::string name = (folder.empty() ? "." : folder) + "/moe-disk-XXXXXX";
  const File file(mkstemp(name.data()));
  if (file.descriptor < 0) return cannot("create a file in", folder);
  struct Removed {
    const std::string& name;
    ~Removed() { unlink(name.c_str()); }
  } removed{name};
  std::vector<char> piece(static_cast<std::size_t>(kPiece));
  std::minstd_rand random(1);
  for (char& c : piece) c = static_cast<char>(random());
  for (std::int64_t at = 0; at < kBytes; at += kPiece) {
    if (cancelled && cancelled()) return moe::fail(moe::ErrorCode::cancelled, "interrupted");
    if (pwrite(file.descriptor, piece.data(), piece.size(), at) != kPiece) return cannot("write", name);
  }
  if (fsync(file.descriptor) != 0) return cannot("write", name);
  return measure_disk(name, read_bytes, threads, cancelled);
}

}  // namespace moe_bench

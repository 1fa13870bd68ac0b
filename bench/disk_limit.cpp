#include "bench/disk_limit.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "moe/tensor.hpp"
#include "support/show.hpp"

namespace moe_bench {
namespace {

using Clock = std::chrono::steady_clock;
// Memory on huge pages, as experts have it, and aligned. A virtual disk took half as much per second into small pages,
// since one of its requests names at most 254 pieces of memory.
constexpr std::int64_t kLeastBuffer = std::int64_t{4} << 20;

tl::unexpected<moe::Error> cannot(const char* what, const std::string& path) {
  return moe::fail(errno == ENOENT ? moe::ErrorCode::not_found : moe::ErrorCode::io,
                   "cannot " + std::string(what) + " " + moe::in_quotes(path) + ": " + std::strerror(errno));
}

tl::unexpected<moe::Error> interrupted() { return moe::fail(moe::ErrorCode::cancelled, "interrupted"); }

// Bytes that no disk compresses.
moe::Result<void> fill(int descriptor, const std::string& name, const std::function<bool()>& cancelled) {
  constexpr std::int64_t kBytes = std::int64_t{1} << 30, kPiece = std::int64_t{4} << 20;
  std::vector<char> piece(static_cast<std::size_t>(kPiece));
  std::minstd_rand random(1);
  for (char& c : piece) c = static_cast<char>(random());
  for (std::int64_t at = 0; at < kBytes; at += kPiece) {
    if (cancelled && cancelled()) return interrupted();
    if (pwrite(descriptor, piece.data(), piece.size(), at) != kPiece) return cannot("write", name);
  }
  if (fsync(descriptor) != 0) return cannot("write", name);
  return {};
}

// Pieces at random places until time is up; false after a failed read.
bool read_pieces(int descriptor, std::int64_t pieces, std::int64_t bytes, std::uint32_t seed, Clock::time_point end,
                 const std::atomic<bool>& stop, std::int64_t& done) {
  auto buffer = moe::AlignedBuffer<std::byte>::create(static_cast<std::size_t>(std::max(bytes, kLeastBuffer)));
  if (!buffer) return false;
  std::minstd_rand random(seed);
  while (!stop && Clock::now() < end) {
    const std::int64_t at = static_cast<std::int64_t>(random()) % pieces * bytes;
    if (pread(descriptor, buffer->data(), static_cast<std::size_t>(bytes), at) != bytes) return false;
    done += bytes;
  }
  return true;
}

}  // namespace

DiskFile::DiskFile(DiskFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      is_direct_(other.is_direct_) {}

DiskFile::~DiskFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

moe::Result<void> DiskFile::open_to_read() {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (descriptor_ < 0 && errno == EINVAL) {
    is_direct_ = false;
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  }
  if (descriptor_ < 0) return cannot("open", path_);
  struct stat info = {};
  if (fstat(descriptor_, &info) != 0) return cannot("read", path_);
  size_ = info.st_size;
  return {};
}

moe::Result<DiskFile> DiskFile::open(const std::string& path, const std::function<bool()>& cancelled) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return cannot("open", path);
  if (!S_ISDIR(info.st_mode)) {
    if (!S_ISREG(info.st_mode))
      return moe::fail(moe::ErrorCode::io, moe::in_quotes(path) + " is neither a file nor a folder, expected one");
    DiskFile file(path);
    if (auto ok = file.open_to_read(); !ok) return moe::forward(ok);
    return file;
  }
  DiskFile file(path + "/moe-disk-XXXXXX");
  const int written = mkstemp(file.path_.data());
  if (written < 0) return cannot("create a file in", path);
  moe::Result<void> done = fill(written, file.path_, cancelled);
  close(written);
  if (done) done = file.open_to_read();
  unlink(file.path_.c_str());  // what is open stays readable
  if (!done) return moe::forward(done);
  return file;
}

moe::Result<DiskLimit> DiskFile::measure(const DiskReads& reads, const std::function<bool()>& cancelled) const {
  const std::int64_t pieces = size_ / reads.read_bytes;
  if (pieces < 1)
    return moe::fail(moe::ErrorCode::io, moe::in_quotes(path_) + " has " + std::to_string(size_) +
                                             " bytes, expected at least " + std::to_string(reads.read_bytes));
  std::atomic<bool> stop{false}, failed{false};
  std::vector<std::int64_t> done(static_cast<std::size_t>(reads.threads), 0);
  std::vector<std::thread> readers;
  const auto started = Clock::now();
  // Other places in each measurement: what was read once may be in a host's memory.
  const auto seed = static_cast<std::uint32_t>(started.time_since_epoch().count());
  const auto end = started + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(reads.seconds));
  for (std::int32_t t = 0; t < reads.threads; ++t)
    readers.emplace_back([&, t] {
      if (!read_pieces(descriptor_, pieces, reads.read_bytes, seed + static_cast<std::uint32_t>(t), end, stop,
                       done[static_cast<std::size_t>(t)]))
        failed = true;
    });
  while (Clock::now() < end && !failed) {
    if (cancelled && cancelled()) stop = true;
    if (stop) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  for (std::thread& reader : readers) reader.join();
  if (stop) return interrupted();
  if (failed) return moe::fail(moe::ErrorCode::io, "cannot read " + moe::in_quotes(path_));
  const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
  std::int64_t bytes = 0;
  for (const std::int64_t n : done) bytes += n;
  return DiskLimit{static_cast<double>(bytes) / seconds, reads, is_direct_};
}

}  // namespace moe_bench

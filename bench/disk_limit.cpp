#include "bench/disk_limit.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <random>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "moe/tensor.hpp"
#include "support/show.hpp"
#include "support/start_thread.hpp"

namespace moe_bench {
namespace {

using Clock = std::chrono::steady_clock;
// Each thread has at least this: memory on huge pages, as experts have it, and aligned. A virtual disk took half as much
// per second into small pages, since one of its requests names at most 254 pieces of memory.
constexpr std::int64_t kLeastBuffer = std::int64_t{4} << 20;

std::string reason(int error) { return std::generic_category().message(error); }

tl::unexpected<moe::Error> cannot(const char* what, const std::string& path, int error) {
  return moe::fail(error == ENOENT ? moe::ErrorCode::not_found : moe::ErrorCode::io,
                   "cannot " + std::string(what) + " " + moe::in_quotes(path) + ": " + reason(error));
}

tl::unexpected<moe::Error> interrupted() { return moe::fail(moe::ErrorCode::cancelled, "interrupted"); }

// The system's error, or 0.
int write_at(int descriptor, std::span<const char> bytes, std::int64_t at) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(descriptor, bytes.data(), bytes.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : ENOSPC;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    at += n;
  }
  return 0;
}

// Bytes that no disk compresses.
moe::Result<void> fill(int descriptor, const std::string& name, const std::function<bool()>& cancelled) {
  constexpr std::int64_t kBytes = std::int64_t{1} << 30, kPiece = std::int64_t{4} << 20;
  std::vector<char> piece(static_cast<std::size_t>(kPiece));
  std::minstd_rand random(1);
  for (char& c : piece) c = static_cast<char>(random());
  for (std::int64_t at = 0; at < kBytes; at += kPiece) {
    if (cancelled && cancelled()) return interrupted();
    if (const int error = write_at(descriptor, piece, at); error != 0) return cannot("write", name, error);
  }
  if (fsync(descriptor) != 0) return cannot("write", name, errno);
  return {};
}

// Threads that read pieces at random places until time is up, one of them fails, or stop().
class Readers {
 public:
  // Each thread reads into its part of `memory`.
  Readers(int descriptor, std::int64_t pieces, const DiskReads& reads, std::span<std::byte> memory)
      : descriptor_(descriptor),
        pieces_(pieces),
        bytes_(reads.read_bytes),
        memory_(memory.data()),
        part_(static_cast<std::int64_t>(memory.size()) / reads.threads),
        places_(reads.memory_bytes > 0 ? part_ / bytes_ : 1),
        started_(Clock::now()),
        end_(started_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(reads.seconds))) {}
  ~Readers() {
    stop();
    wait();
  }
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;

  // Errors: io, when the system refuses a thread.
  moe::Result<void> start(std::int32_t count) {
    threads_.reserve(static_cast<std::size_t>(count));
    return moe::start_threads<&Readers::read>("reads the disk", count, this, threads_);
  }
  bool is_reading() const { return !stops_ && Clock::now() < end_; }
  void stop() { stops_ = true; }
  void wait() {
    for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
    threads_.clear();
  }
  // After wait().
  const std::optional<moe::Error>& error() const { return error_; }
  double bytes_per_second() const {
    return static_cast<double>(done_) / std::chrono::duration<double>(Clock::now() - started_).count();
  }

 private:
  void read() {
    const std::int32_t thread = next_++;
    // Other places in each measurement: what was read once may be in a host's memory.
    std::minstd_rand random(static_cast<std::uint32_t>(started_.time_since_epoch().count() + thread));
    while (is_reading()) {
      const std::int64_t at = static_cast<std::int64_t>(random()) % pieces_ * bytes_;
      std::byte* to = memory_ + thread * part_ + static_cast<std::int64_t>(random()) % places_ * bytes_;
      const ssize_t n = pread(descriptor_, to, static_cast<std::size_t>(bytes_), at);
      if (n < 0) return fail({moe::ErrorCode::io, reason(errno)});
      if (n != bytes_) return fail({moe::ErrorCode::io, "it was made shorter meanwhile"});
      done_ += bytes_;
    }
  }
  void fail(moe::Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    stops_ = true;
  }

  int descriptor_;
  std::int64_t pieces_, bytes_;
  std::byte* memory_;
  std::int64_t part_, places_;  // of a thread: bytes of memory, and places for pieces
  Clock::time_point started_, end_;
  std::atomic<bool> stops_{false};
  std::atomic<std::int32_t> next_{0};  // thread
  std::atomic<std::int64_t> done_{0};  // bytes
  std::mutex mutex_;
  std::optional<moe::Error> error_;  // the first one
  std::vector<pthread_t> threads_;
};

}  // namespace

DiskFile::DiskFile(DiskFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      is_direct_(other.is_direct_) {}

DiskFile::~DiskFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

moe::Result<void> DiskFile::open_to_read(const std::string& name) {
  descriptor_ = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (descriptor_ < 0 && errno == EINVAL) {
    is_direct_ = false;
    descriptor_ = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  }
  if (descriptor_ < 0) return cannot("open", path_, errno);
  struct stat info = {};
  if (fstat(descriptor_, &info) != 0) return cannot("read", path_, errno);
  size_ = info.st_size;
  return {};
}

moe::Result<DiskFile> DiskFile::open(const std::string& path, const std::function<bool()>& cancelled) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return cannot("open", path, errno);
  if (!S_ISDIR(info.st_mode)) {
    if (!S_ISREG(info.st_mode))
      return moe::fail(moe::ErrorCode::io, moe::in_quotes(path) + " is neither a file nor a folder, expected one");
    DiskFile file(path);
    if (auto ok = file.open_to_read(path); !ok) return moe::forward(ok);
    return file;
  }
  DiskFile file(path + "/moe-disk-XXXXXX");
  const int written = mkostemp(file.path_.data(), O_CLOEXEC);
  if (written < 0) return cannot("create a file in", path, errno);
  // At once: however this process ends, nothing is left. The name in /proc leads to the file that has no other.
  unlink(file.path_.c_str());
  moe::Result<void> done = fill(written, file.path_, cancelled);
  if (done) done = file.open_to_read("/proc/self/fd/" + std::to_string(written));
  close(written);
  if (!done) return moe::forward(done);
  return file;
}

moe::Result<DiskLimit> DiskFile::measure(const DiskReads& reads, const std::function<bool()>& cancelled) const {
  const std::int64_t pieces = size_ / reads.read_bytes;
  if (pieces < 1)
    return moe::fail(moe::ErrorCode::io, moe::in_quotes(path_) + " has " + std::to_string(size_) +
                                             " bytes, expected at least " + std::to_string(reads.read_bytes));
  const std::int64_t part =
      std::max({reads.read_bytes, kLeastBuffer, reads.memory_bytes / reads.threads / 4096 * 4096});
  auto memory = moe::AlignedBuffer<std::byte>::create(static_cast<std::size_t>(part * reads.threads), moe::Fill::zero);
  if (!memory) return moe::forward(memory);
  Readers readers(descriptor_, pieces, reads, memory->span());
  if (auto started = readers.start(reads.threads); !started) return moe::forward(started);
  while (readers.is_reading()) {
    if (cancelled && cancelled()) return interrupted();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  readers.wait();
  if (const auto& error = readers.error())
    return moe::fail(error->code, "cannot read " + moe::in_quotes(path_) + ": " + error->message);
  return DiskLimit{readers.bytes_per_second(), reads, is_direct_};
}

}  // namespace moe_bench

#include "support/text_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>

namespace moe::inline MOE_ABI {
namespace {

/// Interval of calls to `cancelled` while no data arrives.
constexpr std::int32_t kSliceMs = 100;

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISBLK(mode)) return "a block device";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "no regular file";
}

bool same_time(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

class Reader {
 public:
  Reader(const std::string& path, const TextLimits& limits)
      : path_(path), limits_(limits), is_stdin_(limits.streams == Streams::allowed && path == "-") {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    if (descriptor_ >= 0 && !is_stdin_) ::close(descriptor_);
  }

  Result<std::string> run() {
    if (auto ok = open(); !ok) return forward(ok);
    if (auto ok = check_kind(); !ok) return forward(ok);
    std::string text;
    for (;;) {
      const auto more = read_some(text);
      if (!more) return forward(more);
      if (text.size() > limits_.bytes)
        return bad(fmt::format("has more than {} bytes, which is the most that is read", limits_.bytes));
      if (!*more) break;
    }
    if (auto ok = check_unchanged(text.size()); !ok) return forward(ok);
    return text;
  }

 private:
  std::string name() const { return is_stdin_ ? "standard input" : path_; }
  tl::unexpected<Error> bad(std::string_view message) const {
    return fail(ErrorCode::bad_file, fmt::format("{}: {}", name(), message));
  }
  tl::unexpected<Error> system_error(const char* what) const {
    const int error = errno;
    const bool absent = error == ENOENT || error == ENOTDIR;
    return fail(absent ? ErrorCode::not_found : ErrorCode::io,
                fmt::format("{}: {}: {}", name(), what, std::generic_category().message(error)));
  }
  bool is_stream() const { return !S_ISREG(status_.st_mode); }

  Result<void> open() {
    if (path_.find('\0') != std::string::npos) return fail(ErrorCode::not_found, "a file name contains a NUL byte");
    // Non-blocking: opening a FIFO must not wait for a writer.
    descriptor_ = is_stdin_ ? STDIN_FILENO : ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor_ >= 0) return {};
    const bool is_socket = errno == ENXIO && ::stat(path_.c_str(), &status_) == 0 && S_ISSOCK(status_.st_mode);
    return is_socket ? bad("is a socket, expected a file") : system_error("cannot be opened");
  }

  Result<void> check_kind() {
    // If the program was started with it closed, the descriptor may be something unreadable.
    const int flags = is_stdin_ ? ::fcntl(descriptor_, F_GETFL) : O_RDONLY;
    if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY) return bad("is closed, expected a file or a pipe");
    if (::fstat(descriptor_, &status_) != 0) return system_error("cannot be examined");
    const mode_t mode = status_.st_mode;
    if (S_ISREG(mode)) {
      if (static_cast<std::uint64_t>(status_.st_size) <= limits_.bytes) return {};
      return bad(fmt::format("has {} bytes, expected at most {}", status_.st_size, limits_.bytes));
    }
    is_terminal_ = ::isatty(descriptor_) == 1;
    const bool readable = S_ISFIFO(mode) || is_terminal_ || (is_stdin_ && S_ISSOCK(mode));
    if (limits_.streams == Streams::allowed && readable) return {};
    return bad(fmt::format("is {}, expected a regular file{}", kind_of(mode),
                           limits_.streams == Streams::allowed ? " or a pipe" : ""));
  }

  // False at the end.
  Result<bool> read_some(std::string& text) {
    bool has_ended = !is_stream();
    if (is_stream() && !poll_slice(has_ended) && is_stdin_) return keep_waiting();
    const std::size_t before = text.size();
    // One byte more than allowed, to detect longer texts.
    const std::uint64_t room = limits_.bytes + 1 - before;
    text.resize(before + static_cast<std::size_t>(std::min(room, next_bytes(before))));
    const ssize_t n = ::read(descriptor_, text.data() + before, text.size() - before);
    const int error = errno;
    text.resize(before + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n > 0) {
      has_writer_ = true;
      last_ = Clock::now();
      return true;
    }
    // A FIFO without a writer gives no bytes either.
    if (n == 0) return !has_ended && !has_writer_ && !is_stdin_ ? keep_waiting() : false;
    if (error == EINTR) return true;
    if (error == EAGAIN && is_stream()) {
      has_writer_ = true;
      return keep_waiting();
    }
    errno = error;
    return system_error("cannot be read");
  }

  // For a regular file, the rest and one byte to detect the end.
  std::uint64_t next_bytes(std::size_t before) const {
    constexpr std::uint64_t kPiece = 1 << 16;
    const auto size = static_cast<std::uint64_t>(status_.st_size);
    return !is_stream() && size > before ? size - before + 1 : kPiece;
  }

  // Whether data or the end can be read.
  bool poll_slice(bool& has_ended) const {
    pollfd wanted{descriptor_, POLLIN, 0};
    const bool ready = ::poll(&wanted, 1, kSliceMs) > 0;
    has_ended = ready && (wanted.revents & POLLHUP) != 0;
    return ready;
  }

  Result<bool> keep_waiting() const {
    if (limits_.cancelled && limits_.cancelled())
      return fail(ErrorCode::cancelled, fmt::format("interrupted while {} was read", name()));
    const bool nobody = !has_writer_ && !is_stdin_;
    const std::int32_t limit_ms = nobody ? limits_.writer_ms : limits_.idle_ms;
    if (is_terminal_ || Clock::now() - last_ < std::chrono::milliseconds(limit_ms)) return true;
    if (nobody) return bad("is a FIFO that nobody writes into, expected a regular file or a pipe");
    return bad(fmt::format("gave nothing for {} s, expected a file that ends", limit_ms / 1000.0));
  }

  Result<void> check_unchanged(std::size_t bytes) const {
    if (is_stream()) return {};
    struct stat now {};
    if (::fstat(descriptor_, &now) != 0) return system_error("cannot be examined");
    // Files in /proc have size 0 but contain data.
    if (now.st_size == 0 && status_.st_size == 0) return {};
    // Standard input may start anywhere in its file.
    const bool same_size = is_stdin_ || static_cast<std::uint64_t>(now.st_size) == bytes;
    if (same_size && same_time(now.st_mtim, status_.st_mtim)) return {};
    return fail(ErrorCode::io, fmt::format("{}: changed while it was read", name()));
  }

  using Clock = std::chrono::steady_clock;

  const std::string& path_;
  const TextLimits& limits_;
  const bool is_stdin_;
  int descriptor_ = -1;
  struct stat status_ {};
  bool is_terminal_ = false, has_writer_ = false;
  Clock::time_point last_ = Clock::now();  // when bytes came
};

}  // namespace

Result<std::string> read_text(const std::string& path, const TextLimits& limits) { return Reader(path, limits).run(); }

}  // namespace moe::inline MOE_ABI

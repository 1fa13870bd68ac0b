#include "checkpoint/input_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace moe::inline MOE_ABI::checkpoint {

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

std::int64_t modified_ns(const struct stat& s) {
  return static_cast<std::int64_t>(s.st_mtim.tv_sec) * 1'000'000'000 + s.st_mtim.tv_nsec;
}

}  // namespace

Result<InputFile> InputFile::open(std::string path) {
  if (path.find('\0') != std::string::npos) return fail(ErrorCode::not_found, "a file name contains a NUL byte");
  InputFile file;
  file.path_ = std::move(path);
  // Non-blocking: opening a FIFO must not wait for somebody to write.
  file.descriptor_ = ::open(file.path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.descriptor_ < 0) {
    const int error = errno;
    const bool absent = error == ENOENT || error == ENOTDIR;
    return fail(absent ? ErrorCode::not_found : ErrorCode::io,
                fmt::format("{}: cannot be opened: {}", file.path_, reason(error)));
  }
  struct stat status {};
  if (::fstat(file.descriptor_, &status) != 0)
    return fail(ErrorCode::io, fmt::format("{}: cannot be examined: {}", file.path_, reason(errno)));
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::bad_file, fmt::format("{}: is not a regular file", file.path_));
  file.size_ = static_cast<std::uint64_t>(status.st_size);
  file.modified_ns_ = modified_ns(status);
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      modified_ns_(other.modified_ns_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(modified_ns_, other.modified_ns_);
  return *this;
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> InputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0)
    return fail(ErrorCode::io, fmt::format("{}: cannot be examined: {}", path_, reason(errno)));
  if (static_cast<std::uint64_t>(status.st_size) != size_)
    return fail(ErrorCode::io,
                fmt::format("{}: has {} bytes now, {} when it was opened", path_, status.st_size, size_));
  if (modified_ns(status) != modified_ns_)
    return fail(ErrorCode::io, fmt::format("{}: was modified after it was opened", path_));
  if (offset > size_ || out.size() > size_ - offset)
    return fail(ErrorCode::io,
                fmt::format("{}: ends at byte {}, expected {} bytes at {}", path_, size_, out.size(), offset));
  std::size_t done = 0;
  while (done < out.size()) {
    // One call reads at most 1 GiB: Linux itself stops short of 2 GiB.
    const std::size_t part = std::min(out.size() - done, std::size_t{1} << 30);
    const ssize_t n = ::pread(descriptor_, out.data() + done, part, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(ErrorCode::io, fmt::format("{}: cannot be read: {}", path_, reason(errno)));
    if (n == 0)
      return fail(ErrorCode::io, fmt::format("{}: ended at byte {}, expected {} bytes at {}", path_, offset + done,
                                             out.size(), offset));
    done += static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace moe::inline MOE_ABI::checkpoint

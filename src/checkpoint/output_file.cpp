#include "checkpoint/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace moe::inline MOE_ABI::checkpoint {

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

Result<void> check_free(const std::string& path, bool replace) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};  // absent; what else is wrong comes up when it is created
  if (!S_ISREG(status.st_mode))
    return fail(ErrorCode::bad_argument, fmt::format("{}: is not a regular file and will not be replaced", path));
  if (!replace) return fail(ErrorCode::bad_argument, fmt::format("{}: exists already; force replaces it", path));
  return {};
}

}  // namespace

tl::unexpected<Error> OutputFile::failed(const char* what, int error) const {
  return fail(ErrorCode::io, fmt::format("{}: cannot {}: {}", path_, what, reason(error)));
}

Result<OutputFile> OutputFile::create(std::string path, bool replace) {
  if (path.empty() || path.find('\0') != std::string::npos)
    return fail(ErrorCode::bad_argument, "the output's name is empty or contains a NUL byte");
  if (auto ok = check_free(path, replace); !ok) return forward(ok);
  OutputFile file;
  file.part_ = fmt::format("{}.part{}", path, ::getpid());
  file.path_ = std::move(path);
  file.replace_ = replace;
  file.descriptor_ = ::open(file.part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file.descriptor_ < 0) return file.failed("be created", errno);
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      part_(std::move(other.part_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      replace_(other.replace_),
      position_(other.position_) {}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(part_.c_str());
}

Result<void> OutputFile::extend(std::uint64_t bytes) {
  struct statvfs disk {};
  if (::fstatvfs(descriptor_, &disk) == 0) {
    const std::uint64_t room = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    if (bytes > room + position_)
      return fail(ErrorCode::io,
                  fmt::format("{}: needs {} bytes, but the disk has room for {}", path_, bytes, room + position_));
  }
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) return failed("be extended", errno);
  return {};
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor_, bytes.data(), std::min(bytes.size(), std::size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("be written", n < 0 ? errno : ENOSPC);
    position_ += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> OutputFile::finish() {
  if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != ENOSYS) return failed("be written", errno);
  if (auto ok = check_free(path_, replace_); !ok) return ok;
  if (std::rename(part_.c_str(), path_.c_str()) != 0) return failed("be renamed into place", errno);
  ::close(std::exchange(descriptor_, -1));
  return {};
}

}  // namespace moe::inline MOE_ABI::checkpoint

#include "eval/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace moe::inline MOE_ABI::eval {
namespace {

ErrorCode code_of(int error) { return error == ENOENT || error == ENOTDIR ? ErrorCode::not_found : ErrorCode::io; }

tl::unexpected<Error> system_error(const std::string& what, const std::string& path) {
  const int error = errno;
  return fail(code_of(error), fmt::format("{} {}: {}", what, path, std::strerror(error)));
}

}  // namespace

Result<void> write_file_atomically(const std::string& path, std::string_view content) {
  const std::string temporary = fmt::format("{}.{}.part", path, ::getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return system_error("cannot write", temporary);
  bool written = true;
  while (written && !content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    written = n > 0;
    if (written) content.remove_prefix(static_cast<std::size_t>(n));
  }
  written = written && ::fsync(fd) == 0;
  if (!written) {
    auto failed = system_error("cannot write", temporary);
    ::close(fd);
    ::unlink(temporary.c_str());
    return failed;
  }
  ::close(fd);
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    auto failed = system_error("cannot write", path);
    ::unlink(temporary.c_str());
    return failed;
  }
  return {};
}

}  // namespace moe::inline MOE_ABI::eval

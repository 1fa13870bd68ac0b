#include "eval/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace moe::inline MOE_ABI::eval {
namespace {

ErrorCode code_of(int error) { return error == ENOENT || error == ENOTDIR ? ErrorCode::not_found : ErrorCode::io; }

tl::unexpected<Error> system_error(const std::string& what, const std::string& path) {
  const int error = errno;
  return fail(code_of(error), fmt::format("{} {}: {}", what, path, std::strerror(error)));
}

}  // namespace

Result<std::string> read_text_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error("cannot read", path);
  struct stat info {};
  if (::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    ::close(fd);
    return fail(ErrorCode::io, fmt::format("cannot read {}: it is a directory", path));
  }
  std::string text;
  char buffer[1 << 16];
  ssize_t n = 0;
  while ((n = ::read(fd, buffer, sizeof buffer)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      auto failed = system_error("cannot read", path);
      ::close(fd);
      return failed;
    }
    text.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(fd);
  return text;
}

}  // namespace moe::inline MOE_ABI::eval

#include "support/directory.hpp"

#include <dirent.h>
#include <fmt/format.h>

#include <cerrno>
#include <memory>
#include <system_error>

namespace moe::inline MOE_ABI {
namespace {

tl::unexpected<Error> cannot_read(const std::string& directory, int error) {
  const ErrorCode code = error == ENOENT || error == ENOTDIR ? ErrorCode::not_found
                         : error == ENOMEM                   ? ErrorCode::out_of_memory
                                                             : ErrorCode::io;
  return fail(code, fmt::format("cannot read {}: {}", directory, std::generic_category().message(error)));
}

struct Close {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

Result<std::vector<std::string>> names_in(const std::string& directory) {
  const std::unique_ptr<DIR, Close> open(::opendir(directory.c_str()));
  if (open == nullptr) return cannot_read(directory, errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(open.get());
    if (entry == nullptr) break;
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  if (errno != 0) return cannot_read(directory, errno);
  return names;
}

}  // namespace moe::inline MOE_ABI

#include "pack/pack_path.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "support/fnv1a.hpp"
#include "support/output_file.hpp"
#include "support/same_file.hpp"

namespace moe::inline MOE_ABI::pack {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".moepack";
constexpr std::size_t kNameBytes = 100;  // of the model's own name

/// Two models of one name in different folders have different files; a model that is replaced keeps its own.
std::string name_for(const std::string& model) {
  std::error_code failed;
  fs::path whole = fs::canonical(model, failed);
  if (failed) whole = fs::absolute(model, failed);
  const std::string stem = whole.extension() == ".gguf" ? whole.stem().string() : whole.filename().string();
  return fmt::format("{}-{:016x}{}", stem.substr(0, kNameBytes), fnv1a(whole.string()), kEnding);
}

std::string folder_of(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

Result<std::string> path_of_pack(const std::string& named, const std::string& model) {
  if (named.find('\0') != std::string::npos)
    return fail(ErrorCode::bad_argument, "the path of the packed file has a zero byte inside");
  std::string path = named;
  if (!named.ends_with(kEnding)) {
    if (::mkdir(named.c_str(), 0700) != 0 && errno != EEXIST)
      return fail(ErrorCode::io,
                  fmt::format("{}: cannot be created: {}", named, std::generic_category().message(errno)));
    path = (fs::path(named) / name_for(model)).string();
  }
  std::error_code failed;
  if (!fs::is_directory(folder_of(path), failed))
    return fail(ErrorCode::bad_argument,
                fmt::format("{}: is no folder, expected one for packed files", folder_of(path)));
  if (auto ok = check_not_of_model(path, model); !ok) return forward(ok);
  return path;
}

Result<FolderLock> FolderLock::take(const std::string& path, const std::function<bool()>& cancelled) {
  const std::string folder = folder_of(path);
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return fail(ErrorCode::io, fmt::format("{}: cannot be opened: {}", folder, std::generic_category().message(errno)));
  FolderLock lock(descriptor);
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return lock;
    if (cancelled && cancelled()) return fail(ErrorCode::cancelled, "loading was cancelled");
    ::poll(nullptr, 0, 50);
  }
  lock.is_held_ = true;
  return lock;
}

void FolderLock::remove_dead_parts(const std::string& path) const {
  if (is_held_) moe::remove_dead_parts(path);
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace moe::inline MOE_ABI::pack

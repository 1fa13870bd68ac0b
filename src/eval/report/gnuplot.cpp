#include "eval/report/gnuplot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <thread>

#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr std::size_t kMostBytes = std::size_t{8} << 20;
constexpr std::chrono::seconds kPatience{20};

std::string system_text(int error) { return std::error_code(error, std::generic_category()).message(); }

// An unnamed file: it is removed in any case, and no other program can open it.
class Scratch {
 public:
  Scratch() {
    std::error_code failed;
    const std::filesystem::path folder = std::filesystem::temp_directory_path(failed);
    std::string path = ((failed ? std::filesystem::path("/tmp") : folder) / "moe_report_XXXXXX").string();
    descriptor_ = ::mkostemp(path.data(), O_CLOEXEC);
    if (descriptor_ >= 0) ::unlink(path.c_str());
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int descriptor() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  bool write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t n = ::write(descriptor_, text.data(), text.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return ::lseek(descriptor_, 0, SEEK_SET) == 0;
  }
  /// At most `most` bytes and one more, by which a reader knows that there were too many.
  std::string read(std::size_t most) const {
    std::string out;
    char buffer[1 << 14];
    while (out.size() <= most) {
      const ssize_t n =
          ::pread(descriptor_, buffer, std::min(sizeof buffer, most + 1 - out.size()), static_cast<off_t>(out.size()));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      out.append(buffer, static_cast<std::size_t>(n));
    }
    return out;
  }
  off_t size() const {
    struct stat info {};
    return ::fstat(descriptor_, &info) == 0 ? info.st_size : 0;
  }

 private:
  int descriptor_ = -1;
};

// Starts `program` with these three as its standard streams.
Result<pid_t> start(const std::string& program, const Scratch& in, const Scratch& out, const Scratch& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.descriptor(), 0);
  posix_spawn_file_actions_adddup2(&actions, out.descriptor(), 1);
  posix_spawn_file_actions_adddup2(&actions, err.descriptor(), 2);
  // Numbers with a point, and no terminal that a user's environment names.
  const char* path = std::getenv("PATH");
  std::string path_entry = fmt::format("PATH={}", path != nullptr ? path : "/usr/bin:/bin"), locale = "LC_ALL=C";
  char* const environment[] = {path_entry.data(), locale.data(), nullptr};
  std::string name = program, defaults = "-d";  // -d: no ~/.gnuplot
  char* const arguments[] = {name.data(), defaults.data(), nullptr};
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments, environment);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) return fail(ErrorCode::not_found, fmt::format("{} is not installed", printable(program)));
  if (error != 0) return fail(ErrorCode::io, fmt::format("{}: {}", printable(program), system_text(error)));
  return child;
}

// The child's status. It is ours: killed by its id and waited for.
Result<int> wait_for(pid_t child, const Scratch& out, const std::function<bool()>& cancelled) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  int status = 0;
  for (;;) {
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) return status;
    if (ended < 0 && errno != EINTR) return fail(ErrorCode::io, system_text(errno));
    const bool is_cancelled = cancelled && cancelled();
    const bool is_late = std::chrono::steady_clock::now() > deadline;
    if (is_cancelled || is_late || out.size() > static_cast<off_t>(kMostBytes)) {
      ::kill(child, SIGKILL);
      while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
      }
      if (is_cancelled) return fail(ErrorCode::cancelled, "interrupted while a picture was drawn");
      return fail(ErrorCode::io, is_late ? "no picture within 20 s" : "a picture of more than 8 MiB");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace

Result<std::string> run_gnuplot(const std::string& program, const std::string& script,
                                const std::function<bool()>& cancelled) {
  const Scratch in, out, err;
  if (!in.is_open() || !out.is_open() || !err.is_open() || !in.write(script))
    return fail(ErrorCode::io, fmt::format("a temporary file cannot be written: {}", system_text(errno)));
  const auto child = start(program, in, out, err);
  if (!child) return forward(child);
  const auto status = wait_for(*child, out, cancelled);
  if (!status) return fail(status.error().code, fmt::format("{}: {}", printable(program), status.error().message));
  // Some systems report a program that cannot be started this way.
  if (WIFEXITED(*status) && WEXITSTATUS(*status) == 127)
    return fail(ErrorCode::not_found, fmt::format("{} is not installed", printable(program)));
  if (!WIFEXITED(*status) || WEXITSTATUS(*status) != 0)
    return fail(ErrorCode::io, fmt::format("{} failed: {}", printable(program), in_quotes(err.read(400))));
  std::string picture = out.read(kMostBytes);
  if (picture.size() > kMostBytes)
    return fail(ErrorCode::io, fmt::format("{}: a picture of more than 8 MiB", printable(program)));
  return picture;
}

}  // namespace moe::inline MOE_ABI::eval

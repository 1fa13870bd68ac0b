#include "support/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <optional>
#include <system_error>
#include <utility>

#include "moe/unfinished_files.hpp"
#include "support/directory.hpp"

namespace moe::inline MOE_ABI {

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

constexpr const char* kStandardOutput = "standard output";

// --- resolving names -------------------------------------------------------------------------------------------------

// The descriptor that a name refers to. Opening such a name again would start at the beginning of its file, and
// replacing that file would detach it from the shell that opened it.
int descriptor_named(const std::string& path) {
  if (path == "-" || path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string& folder :
       {std::string("/dev/fd/"), std::string("/proc/self/fd/"), fmt::format("/proc/{}/fd/", ::getpid())}) {
    if (!path.starts_with(folder)) continue;
    const std::string number = path.substr(folder.size());
    if (!number.empty() && number.size() < 7 && number.find_first_not_of("0123456789") == std::string::npos)
      return std::stoi(number);
  }
  return -1;
}

struct Target {
  std::string path;     // no symbolic link
  int descriptor = -1;  // or the descriptor that it refers to
  bool exists = false;
  struct stat status {};
};

Result<Target> resolve(const std::string& path) {
  Target out{path, -1, false, {}};
  for (int links = 0; links < 40; ++links) {
    out.descriptor = descriptor_named(out.path);
    if (out.descriptor >= 0) return out;
    if (::lstat(out.path.c_str(), &out.status) != 0) return out;  // other errors are reported when it is created
    out.exists = true;
    if (!S_ISLNK(out.status.st_mode)) return out;
    char link[4096];
    const ssize_t n = ::readlink(out.path.c_str(), link, sizeof link);
    if (n <= 0 || n == static_cast<ssize_t>(sizeof link)) break;
    const std::string next(link, static_cast<std::size_t>(n));
    const std::size_t folder = out.path.rfind('/');
    out.path = next[0] == '/' || folder == std::string::npos ? next : out.path.substr(0, folder + 1) + next;
    out.exists = false;
  }
  return fail(ErrorCode::io, fmt::format("{}: {}", path, reason(ELOOP)));
}

// Whether a regular file may be created under the name.
Result<void> check_free(const std::string& path, const OutputOptions& options, const Target& target) {
  if (!target.exists) return {};
  if (S_ISDIR(target.status.st_mode))
    return fail(ErrorCode::bad_argument, fmt::format("{}: is a directory and not a regular file", path));
  if (!S_ISREG(target.status.st_mode))
    return fail(ErrorCode::bad_argument, fmt::format("{}: is not a regular file and will not be replaced", path));
  if (!options.replace)
    return fail(ErrorCode::bad_argument, fmt::format("{}: exists already; force replaces it", path));
  // Renaming needs only write permission for the folder, but write-protected files must not be replaced either.
  if (::faccessat(AT_FDCWD, target.path.c_str(), W_OK, AT_EACCESS) != 0)
    return fail(ErrorCode::io, fmt::format("{}: cannot be written: {}", path, reason(errno)));
  return {};
}

// --- temporary names -------------------------------------------------------------------------------------------------

// The name may have the maximum length, which the part's name must not exceed.
std::string part_prefix(const std::string& target) {
  const std::size_t name = target.rfind('/') + 1;
  return fmt::format("{}{}.part", target.substr(0, name), target.substr(name, 200));
}

// The process that wrote PREFIX<number> or PREFIX<number>-<number>; 0: the path is none of these.
pid_t writer_of(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return 0;
  path.remove_prefix(prefix.size());
  pid_t writer = 0;
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), writer);
  if (error != std::errc() || writer <= 0) return 0;
  path.remove_prefix(static_cast<std::size_t>(end - path.data()));
  const bool is_attempt =
      path.size() > 1 && path[0] == '-' && path.find_first_not_of("0123456789", 1) == std::string_view::npos;
  return path.empty() || is_attempt ? writer : 0;
}

// --- SIGPIPE ---------------------------------------------------------------------------------------------------------

// Keeps the signal of a broken pipe from this thread: a library must not end its host.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutSigpipe() {
    const int error = errno;
    sigset_t pending;
    sigpending(&pending);
    int taken = 0;
    if (!was_pending_ && sigismember(&pending, SIGPIPE) == 1) sigwait(&pipe_, &taken);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

 private:
  sigset_t pipe_{}, before_{};
  bool was_pending_ = false;
};

}  // namespace

int write_all(int descriptor, std::span<const std::byte> bytes, const std::function<bool()>& cancelled) {
  struct stat status {};
  const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  std::optional<WithoutSigpipe> guard;
  if (!regular) guard.emplace();
  while (!bytes.empty()) {
    // A pipe with a slow reader: a write of at most PIPE_BUF bytes does not wait where poll() says that there is room.
    if (!regular) {
      pollfd room{descriptor, POLLOUT, 0};
      if (const int n = ::poll(&room, 1, 100); n == 0 || (n < 0 && errno == EINTR)) {
        if (cancelled && cancelled()) return ECANCELED;
        continue;
      }
    }
    const std::size_t most = regular ? std::size_t{1} << 30 : std::size_t{4096};
    const ssize_t n = ::write(descriptor, bytes.data(), std::min(bytes.size(), most));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return n < 0 ? errno : ENOSPC;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return 0;
}

Error standard_output_error(int error) {
  if (error == ECANCELED) return {ErrorCode::cancelled, "interrupted"};
  return {ErrorCode::io, fmt::format("{}: cannot be written: {}", kStandardOutput, reason(error))};
}

tl::unexpected<Error> OutputFile::failed(const char* what, int error) const {
  if (error == ECANCELED) return fail(ErrorCode::cancelled, fmt::format("{}: interrupted", path_));
  return fail(ErrorCode::io, fmt::format("{}: cannot {}: {}", path_, what, reason(error)));
}

Result<OutputFile> OutputFile::create(std::string path, OutputOptions options) {
  if (path.empty() || path.find('\0') != std::string::npos)
    return fail(ErrorCode::bad_argument, "the output's name is empty or contains a NUL byte");
  const auto target = resolve(path);
  if (!target) return forward(target);
  OutputFile file;
  file.path_ = target->descriptor == STDOUT_FILENO ? kStandardOutput : std::move(path);
  file.options_ = std::move(options);
  const bool is_regular = target->descriptor < 0 && (!target->exists || S_ISREG(target->status.st_mode));
  if (target->descriptor >= 0 && !file.options_.streams)
    return fail(ErrorCode::bad_argument, file.path_ + ": expected a regular file (./- for one that is called -)");
  if (target->descriptor >= 0) {
    file.descriptor_ = ::fcntl(target->descriptor, F_DUPFD_CLOEXEC, 3);
    if (file.descriptor_ < 0) return file.failed("be written", errno);
    return file;
  }
  if (!is_regular && file.options_.streams && !S_ISDIR(target->status.st_mode)) {
    if (auto ok = file.open_stream(target->path, S_ISFIFO(target->status.st_mode)); !ok) return forward(ok);
    return file;
  }
  if (auto ok = check_free(file.path_, file.options_, *target); !ok) return forward(ok);
  if (auto ok = file.open_part(target->path); !ok) return forward(ok);
  if (target->exists && !file.options_.is_private) {
    // The new file gets the old one's owner, group and permissions. Only root may change the owner.
    [[maybe_unused]] int ignored = ::fchown(file.descriptor_, target->status.st_uid, target->status.st_gid);
    ignored = ::fchmod(file.descriptor_, target->status.st_mode & 0777);
  }
  return file;
}

Result<void> OutputFile::open_stream(const std::string& target, bool is_fifo) {
  // Non-blocking: a FIFO without a reader is then an error instead of an endless wait.
  while ((descriptor_ = ::open(target.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) < 0) {
    if (errno != EINTR && !(errno == ENXIO && is_fifo)) return failed("be written", errno);
    if (options_.cancelled && options_.cancelled()) return failed("be written", ECANCELED);
    ::poll(nullptr, 0, 20);
  }
  return {};
}

Result<void> OutputFile::open_part(const std::string& target) {
  target_ = target;
  for (int attempt = 0; attempt < 100; ++attempt) {
    part_ = fmt::format("{}{}", part_prefix(target), ::getpid());
    if (attempt > 0) part_ += fmt::format("-{}", attempt);
    // Registered first: otherwise an interruption in between would leave the file.
    slot_ = note_unfinished(part_);
    descriptor_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, options_.is_private ? 0600 : 0666);
    if (descriptor_ >= 0) return {};
    const int error = errno;
    note_finished(std::exchange(slot_, -1));
    if (error != EEXIST) return failed("be created", error);
  }
  return failed("be created", EEXIST);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      part_(std::move(other.part_)),
      options_(std::move(other.options_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      slot_(std::exchange(other.slot_, -1)),
      position_(other.position_) {}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!is_stream()) ::unlink(part_.c_str());
  note_finished(slot_);
}

bool OutputFile::is_standard_output() const { return path_ == kStandardOutput; }

bool OutputFile::is_same(const OutputFile& other) const {
  if (is_stream() != other.is_stream()) return false;
  struct stat a {
  }, b{};
  if (is_stream()) {
    if (::fstat(descriptor_, &a) != 0 || ::fstat(other.descriptor_, &b) != 0) return false;
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino && !S_ISCHR(a.st_mode);  // outputs may share /dev/null
  }
  const auto split = [](const std::string& path) {
    const std::size_t name = path.rfind('/') + 1;
    return std::pair{name == 0 ? std::string(".") : path.substr(0, name), path.substr(name)};
  };
  const auto [folder, name] = split(target_);
  const auto [other_folder, other_name] = split(other.target_);
  return name == other_name && ::stat(folder.c_str(), &a) == 0 && ::stat(other_folder.c_str(), &b) == 0 &&
         a.st_dev == b.st_dev && a.st_ino == b.st_ino;
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
  if (is_stream() && options_.cancelled && options_.cancelled()) return failed("be written", ECANCELED);
  if (const int error = write_all(descriptor_, bytes, options_.cancelled); error != 0)
    return failed("be written", error);
  position_ += static_cast<std::uint64_t>(bytes.size());
  return {};
}

Result<void> OutputFile::rewrite(std::uint64_t offset, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::pwrite(descriptor_, text.data(), text.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("be written", n < 0 ? errno : ENOSPC);
    offset += static_cast<std::uint64_t>(n);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

// The new name, too, survives a power failure. Where a file system cannot promise that, the file is there all the same.
void OutputFile::sync_folder() const {
  const std::size_t name = target_.rfind('/');
  const std::string folder = name == std::string::npos ? "." : target_.substr(0, name + 1);
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  [[maybe_unused]] const int ignored = ::fsync(descriptor);
  ::close(descriptor);
}

Result<void> OutputFile::finish() {
  if (is_stream()) {
    if (::close(std::exchange(descriptor_, -1)) != 0) return failed("be written", errno);
    return {};
  }
  if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != ENOSYS) return failed("be written", errno);
  Target now{target_, -1, false, {}};
  now.exists = ::lstat(target_.c_str(), &now.status) == 0;
  if (auto ok = check_free(path_, options_, now); !ok) return ok;
  if (std::rename(part_.c_str(), target_.c_str()) != 0) return failed("be renamed into place", errno);
  sync_folder();
  ::close(std::exchange(descriptor_, -1));
  note_finished(std::exchange(slot_, -1));
  return {};
}

void remove_dead_parts(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/') + 1), prefix = part_prefix(path);
  const auto names = names_in(folder.empty() ? "." : folder);
  if (!names) return;
  for (const std::string& name : *names) {
    const std::string part = folder + name;
    const pid_t writer = writer_of(part, prefix);
    if (writer == 0 || (writer != ::getpid() && (::kill(writer, 0) == 0 || errno != ESRCH))) continue;
    struct stat status {};
    if (::lstat(part.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) continue;
    ::unlink(part.c_str());
  }
}

Result<void> write_file(const std::string& path, std::string_view bytes, OutputOptions options) {
  auto file = OutputFile::create(path, std::move(options));
  if (!file) return forward(file);
  if (auto ok = file->write(bytes); !ok) return ok;
  return file->finish();
}

}  // namespace moe::inline MOE_ABI

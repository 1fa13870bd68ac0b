#pragma once
// What every command line here shares: exit status, one-line errors, progress with ETA, Ctrl-C, whole files or none.

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "moe/error.hpp"
#include "moe/model.hpp"

namespace cli {

// Fixed: scripts depend on them.
inline constexpr int kDone = 0, kBadInput = 1, kUsage = 2, kInternal = 3, kInterrupted = 130;

inline int exit_status(moe::ErrorCode code) {
  switch (code) {
    case moe::ErrorCode::cancelled: return kInterrupted;
    case moe::ErrorCode::internal:
    case moe::ErrorCode::out_of_memory: return kInternal;
    default: return kBadInput;
  }
}

/// Length of the valid UTF-8 sequence at text[at], or 0 (overlong forms, surrogates and cut sequences included).
inline std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned b0 = byte(at), b1 = byte(at + 1);
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  if (b0 < 0x80) return 1;
  if (b0 >= 0xC2 && b0 <= 0xDF) return tail(at + 1) ? 2 : 0;
  if (b0 >= 0xE0 && b0 <= 0xEF) {
    if (!tail(at + 1) || !tail(at + 2)) return 0;
    if ((b0 == 0xE0 && b1 < 0xA0) || (b0 == 0xED && b1 > 0x9F)) return 0;
    return 3;
  }
  if (b0 >= 0xF0 && b0 <= 0xF4) {
    if (!tail(at + 1) || !tail(at + 2) || !tail(at + 3)) return 0;
    if ((b0 == 0xF0 && b1 < 0x90) || (b0 == 0xF4 && b1 > 0x8F)) return 0;
    return 4;
  }
  return 0;
}

/// The text on one line of a terminal: control characters (C0, DEL, C1) and bytes that are no UTF-8 become \xNN.
inline std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t n = utf8_length(text, i);
    const auto b0 = static_cast<unsigned char>(text[i]);
    const bool c1 = n == 2 && b0 == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (n > 0 && b0 >= 0x20 && b0 != 0x7F && !c1) {
      out.append(text.substr(i, n));
      i += n;
      continue;
    }
    for (std::size_t k = 0; k < std::max<std::size_t>(n, 1); ++k, ++i) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(text[i])));
      out += hex;
    }
  }
  return out;
}

/// "program: message" on stderr.
inline void complain(std::string_view program, std::string_view message) {
  std::fprintf(stderr, "%s: %s\n", printable(program).c_str(), printable(message).c_str());
}
/// Prints the error; the result is what main() returns.
inline int fail_with(std::string_view program, const moe::Error& error) {
  complain(program, error.message);
  return exit_status(error.code);
}

// --- Ctrl-C ----------------------------------------------------------------------------------------------------------

namespace detail {
inline volatile std::sig_atomic_t interrupt_seen = 0;
inline void on_interrupt(int) { interrupt_seen = 1; }
}  // namespace detail

/// The first Ctrl-C (or SIGTERM) asks the program to stop; the second one ends it at once.
inline void catch_interrupt() {
  struct sigaction action {};
  action.sa_handler = detail::on_interrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}
/// For LoadOptions::cancelled and SessionOptions::cancelled.
inline bool interrupted() { return detail::interrupt_seen != 0; }

// --- progress --------------------------------------------------------------------------------------------------------

inline std::string duration_text(double seconds) {
  const auto s = static_cast<long long>(std::clamp(seconds, 0.0, 3.6e6) + 0.5);
  char text[32];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
  return text;
}

/// One line on stderr, rewritten at most ten times a second; silent where stderr is no terminal.
class ProgressLine {
 public:
  explicit ProgressLine(std::string label) : label_(std::move(label)), shown_(isatty(STDERR_FILENO) == 1) {}
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// `note` stands behind the percentage, e.g. the task at hand.
  void update(moe::Progress p, std::string_view note = {}) {
    if (!shown_ || p.total <= 0) return;
    const auto now = Clock::now();
    // What was done before the first call (a run that goes on) took none of this time.
    if (first_ < 0) first_ = std::min(p.done, p.total);
    if (drawn_ && now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    drawn_ = true;
    const double share = std::clamp(static_cast<double>(p.done) / static_cast<double>(p.total), 0.0, 1.0);
    const double spent = std::chrono::duration<double>(now - start_).count();
    const double left =
        static_cast<double>(p.total - p.done) / static_cast<double>(std::max(p.done - first_, std::int64_t{1}));
    const std::string eta = p.done > first_ ? duration_text(spent * left) + " left" : std::string("...");
    std::fprintf(stderr, "\r\x1b[K%s %3.0f%%  %s  %s", label_.c_str(), 100.0 * share, eta.c_str(),
                 printable(note).c_str());
    std::fflush(stderr);
  }
  void clear() {
    if (drawn_) std::fputs("\r\x1b[K", stderr);
    drawn_ = false;
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  bool shown_ = false, drawn_ = false;
  std::int64_t first_ = -1;
  Clock::time_point start_ = Clock::now(), last_{};
};

// --- files -----------------------------------------------------------------------------------------------------------

/// Writes the whole file or none of it: into a neighbour first, renamed when complete. Devices are written directly.
inline moe::Result<void> write_file(const std::string& path, std::string_view bytes) {
  const auto failed = [&](const char* what) {
    return moe::fail(moe::ErrorCode::io, path + ": cannot " + what + ": " + std::strerror(errno));
  };
  const bool device = path.rfind("/dev/", 0) == 0;
  const std::string target = device ? path : path + ".part" + std::to_string(getpid());
  const int fd = ::open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return failed("create");
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      auto error = failed("write");
      ::close(fd);
      if (!device) ::unlink(target.c_str());
      return error;
    }
    done += static_cast<std::size_t>(n);
  }
  if (::close(fd) != 0 || (!device && std::rename(target.c_str(), path.c_str()) != 0)) {
    auto error = failed("write");
    if (!device) ::unlink(target.c_str());
    return error;
  }
  return {};
}

// --- main ------------------------------------------------------------------------------------------------------------

/// Parses the command line and runs `body`, which returns Result<void> (ErrorCode::cancelled after Ctrl-C). Whatever
/// happens ends in one of the statuses above; CLI11's help goes to stdout, a wrong usage is one line on stderr.
template <class Body>
int run(CLI::App& app, int argc, char** argv, Body&& body) {
  const std::string program = app.get_name();
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& wrong) {
    complain(program, std::string(wrong.what()) + " (see --help)");
    return kUsage;
  }
  catch_interrupt();
  try {
    const moe::Result<void> done = body();
    if (!done) return fail_with(program, done.error());
    if (std::fflush(stdout) != 0) {
      complain(program, std::string("cannot write the output: ") + std::strerror(errno));
      return kBadInput;
    }
    return kDone;
  } catch (const CLI::ParseError& wrong) {  // what the body finds wrong with an option's value
    complain(program, std::string(wrong.what()) + " (see --help)");
    return kUsage;
  } catch (const std::bad_alloc&) {
    complain(program, "out of memory");
  } catch (const std::exception& bug) {
    complain(program, std::string("internal error: ") + bug.what());
  }
  return kInternal;
}

}  // namespace cli

// What a user types into a conversation: lines from a terminal and from a pipe, and commands.

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "scratch_dir.hpp"
#include "tools/chat/command.hpp"
#include "tools/chat/line_reader.hpp"
#include "tools/common/interrupt.hpp"

namespace {

// What the reader makes of its input: a line each, "^C" for Ctrl-C, "error" for anything else.
[[noreturn]] void read_all(int out, const cli::LineReaderOptions& options) {
  const auto tell = [&](const std::string& text) {
    if (::write(out, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(2);
  };
  cli::catch_interrupts();
  auto reader = cli::LineReader::create(options);
  if (!reader) _exit(3);
  tell(reader->is_terminal() ? "terminal\n" : "pipe\n");
  for (;;) {
    auto line = reader->read();
    if (!line && line.error().code == moe::ErrorCode::cancelled) {
      tell("^C\n");
      if (!cli::forget_ctrl_c()) _exit(4);
      continue;
    }
    if (!line) {
      tell("error\n");
      _exit(0);
    }
    if (!*line) break;
    tell("[" + **line + "]\n");
    reader->remember(**line);
  }
  tell("end\n");
  _exit(0);
}

std::string read_to_end(int fd) {
  std::string text;
  char bytes[4096];
  for (ssize_t got; (got = ::read(fd, bytes, sizeof bytes)) > 0;) text.append(bytes, static_cast<std::size_t>(got));
  return text;
}

std::string piped(const std::string& input, std::size_t most_bytes = 1000) {
  int in[2], out[2];
  REQUIRE(pipe(in) == 0);
  REQUIRE(pipe(out) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(in[0], STDIN_FILENO);
    close(in[1]);
    read_all(out[1], {.most_bytes = most_bytes});
  }
  close(in[0]);
  close(out[1]);
  REQUIRE(::write(in[1], input.data(), input.size()) == static_cast<ssize_t>(input.size()));
  close(in[1]);
  const std::string text = read_to_end(out[0]);
  close(out[0]);
  waitpid(child, nullptr, 0);
  return text;
}

// Types `keys` one after the other, each when the reader waits for it (its prompt or echo has come).
std::string typed(const std::vector<std::string>& keys, const std::string& history) {
  int out[2];
  REQUIRE(pipe(out) == 0);
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  REQUIRE(child >= 0);
  if (child == 0) {
    setenv("TERM", "xterm", 1);
    unsetenv("EDITRC");
    read_all(out[1], {.history_path = history});
  }
  close(out[1]);
  const auto settle = [&](int first_ms) {
    char bytes[4096];
    for (pollfd waits{terminal, POLLIN, 0}; ::poll(&waits, 1, first_ms) > 0; first_ms = 100)
      if (::read(terminal, bytes, sizeof bytes) <= 0) return;
  };
  settle(20000);
  for (const std::string& key : keys) {
    REQUIRE(::write(terminal, key.data(), key.size()) == static_cast<ssize_t>(key.size()));
    settle(5000);
  }
  const std::string text = read_to_end(out[0]);
  close(out[0]);
  close(terminal);
  waitpid(child, nullptr, 0);
  return text;
}

}  // namespace

TEST_CASE("lines of a pipe come as they are") {
  CHECK(piped("one\ntwo\r\n\nthree") == "pipe\n[one]\n[two]\n[]\n[three]\nend\n");
  CHECK(piped("") == "pipe\nend\n");
  CHECK(piped("goes \\\non\nlast \\") == "pipe\n[goes \non]\n[last \n]\nend\n");
  CHECK(piped(std::string(5000, 'x') + "\n") == "pipe\nerror\n");
  CHECK(piped(std::string(600, 'x') + "\\\n" + std::string(600, 'y') + "\n") == "pipe\nerror\n");
}

TEST_CASE("lines of a terminal are edited, Ctrl-C leaves a line, Ctrl-D ends") {
  CHECK(typed({"hallo\x7f\x7fXo\r", "gr\xC3\xBC\xC3\x9F\x7f e\r", "\x04"}, "") ==
        "terminal\n[halXo]\n[gr\xC3\xBC e]\nend\n");
  CHECK(typed({"unfinished", "\x03", "next\r", "\x04"}, "") == "terminal\n^C\n[next]\nend\n");
}

TEST_CASE("a history is kept between conversations, for this user alone") {
  const moe_test::ScratchDir scratch("moe_history");
  const std::string file = scratch / "state/history";
  CHECK(typed({"first\r", "second\r", "\x1b[A\x1b[A\r", "\x04"}, file) ==
        "terminal\n[first]\n[second]\n[first]\nend\n");
  CHECK(typed({"\x1b[A\r", "\x04"}, file) == "terminal\n[first]\nend\n");
  struct stat status {};
  REQUIRE(stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0077) == 0);
}

TEST_CASE("commands") {
  using cli::CommandKind;
  const auto check = [](std::string_view line, CommandKind kind, std::string_view text) {
    CAPTURE(line);
    const cli::Command command = cli::parse_command(line);
    CHECK(command.kind == kind);
    CHECK(command.text == text);
  };
  check("hello", CommandKind::message, "hello");
  check("", CommandKind::message, "");
  check(" /help", CommandKind::message, " /help");
  check("//etc/hosts", CommandKind::message, "/etc/hosts");
  check("/help", CommandKind::help, "");
  check("/system  You are brief. ", CommandKind::system, "You are brief.");
  check("/save a b.json", CommandKind::save, "a b.json");
  check("/retry", CommandKind::retry, "");
  check("/clear", CommandKind::clear, "");
  check("/quit", CommandKind::quit, "");
  check("/exit", CommandKind::quit, "");
  check("/", CommandKind::unknown, "");
  check("/sav x", CommandKind::unknown, "sav");
  for (const cli::CommandHelp& help : cli::command_help()) CHECK_FALSE(help.meaning.empty());
}

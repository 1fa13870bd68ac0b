// Shared code of the programs: exit status, durations, token ids, .npy files.

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "scratch_dir.hpp"
#include "tools/common/help.hpp"
#include "tools/common/npy_file.hpp"
#include "tools/common/program.hpp"
#include "tools/common/progress.hpp"
#include "tools/common/token_ids.hpp"

TEST_CASE("every error code has its exit status") {
  using moe::ErrorCode;
  CHECK(cli::exit_status(ErrorCode::bad_file) == 1);
  CHECK(cli::exit_status(ErrorCode::not_found) == 1);
  CHECK(cli::exit_status(ErrorCode::unsupported) == 1);
  CHECK(cli::exit_status(ErrorCode::non_finite) == 1);
  CHECK(cli::exit_status(ErrorCode::out_of_memory) == 3);
  CHECK(cli::exit_status(ErrorCode::internal) == 3);
  CHECK(cli::exit_status(ErrorCode::cancelled) == 130);
}

TEST_CASE("help is as wide as it is asked to be: descriptions beside their names, or below them where it is narrow") {
  std::string text;
  CLI::App app("Does many things, which is more than a narrow terminal has room for in one line.", "program");
  app.add_option("--text", text, "what is said about it, at some length, so that it takes more than one line");
  app.add_subcommand("other", "another thing that the program does, said at such length that it takes two lines");
  app.footer(
      "Examples:\n  program --text 'an example is to be copied, it stays on its line'\nand words that are to be read");
  for (const std::size_t columns : {40u, 72u}) {
    cli::set_help(app, columns);
    std::istringstream lines(app.help());
    for (std::string line; std::getline(lines, line);)
      CHECK_MESSAGE((line.size() <= columns || line.starts_with("  program --text 'an")), line);
    CHECK(app.help().find("\n  program --text 'an example is to be copied, it stays on its line'\n") !=
          std::string::npos);
  }
  CHECK(app.help().find("\n  --text TEXT                 what is said about it, at some length, so\n"
                        "                              that it takes more than one line\n") != std::string::npos);
  CHECK(app.help().find("\n  other                       another thing that") != std::string::npos);
  cli::set_help(app, 40);
  CHECK(app.help().find("\n  --text TEXT\n      what is said about it, at some\n") != std::string::npos);
  CHECK(cli::filled("a word_that_is_longer_than_the_line b", 8, 2) ==
        "  a\n  word_that_is_longer_than_the_line\n  b\n");
}

TEST_CASE("one Ctrl-C asks, one that comes later ends the program and removes what it was writing") {
  namespace fs = std::filesystem;
  const moe_test::ScratchDir scratch("moe_interrupt");
  const auto in_child = [&](int pause_ms) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      cli::catch_interrupts();
      auto file = moe::OutputFile::create(scratch / "out");
      if (!file || cli::interrupted()) _exit(1);
      raise(SIGINT);
      if (!cli::interrupted()) _exit(2);
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
      raise(SIGINT);
      _exit(3);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  };
  CHECK(in_child(600) == 130);
  CHECK(fs::is_empty(scratch.dir));
  CHECK(in_child(0) == 3);  // `timeout` sends two at a time: that is one request to stop
}

TEST_CASE("progress in a file is a line from time to time, without control characters") {
  const moe_test::ScratchDir scratch("progress");
  const std::string path = scratch / "stderr";
  const int kept = dup(STDERR_FILENO);
  std::fflush(stderr);
  REQUIRE(std::freopen(path.c_str(), "w", stderr) != nullptr);
  {
    cli::ProgressLine soon("loading", std::chrono::milliseconds(0));
    soon.update({25, 100});
    soon.update({50, 100}, "a note");
    cli::ProgressLine late("asking");
    late.update({50, 100});
  }
  std::fflush(stderr);
  REQUIRE(dup2(kept, STDERR_FILENO) == STDERR_FILENO);
  close(kept);
  CHECK(moe_test::read_file(path) == "loading  25%  ...  \nloading  50%  0:00 left  a note\n");
}

TEST_CASE("durations") {
  CHECK(cli::duration_text(0.0) == "0:00");
  CHECK(cli::duration_text(61.2) == "1:01");
  CHECK(cli::duration_text(3725.0) == "1:02:05");
}

TEST_CASE("token ids of a command line") {
  CHECK(*cli::parse_ids(" 1 2,3\n4 ") == std::vector<moe::TokenId>{1, 2, 3, 4});
  CHECK(cli::parse_ids("")->empty());
  for (const char* wrong : {"1 x", "1.5", "99999999999", "1-2", "-4", "0x10"})
    CHECK_FALSE(cli::parse_ids(wrong).has_value());
}

TEST_CASE("a .npy file has NumPy's header, and its name only when complete") {
  namespace fs = std::filesystem;
  const moe_test::ScratchDir scratch("moe_npy");
  const std::string path = scratch / "x.npy";
  const auto create = [&](const std::string& name) {
    auto file = moe::OutputFile::create(name);
    REQUIRE(file.has_value());
    return cli::NpyFile::create(std::move(*file), 3);
  };
  {
    auto file = create(path);
    REQUIRE(file.has_value());
    REQUIRE(file->append(std::vector<float>{1, 2, 3}).has_value());
    CHECK_FALSE(fs::exists(path));
  }
  CHECK(fs::is_empty(scratch.dir));
  auto file = create(path);
  REQUIRE(file.has_value());
  REQUIRE(file->append(std::vector<float>{1, 2, 3}).has_value());
  REQUIRE(file->append(std::vector<float>{4, 5, 6}).has_value());
  REQUIRE(file->finish().has_value());
  const std::string bytes = moe_test::read_file(path);
  REQUIRE(bytes.size() == 128 + 6 * sizeof(float));
  CHECK(bytes.substr(0, 10) == std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  CHECK(bytes.find("'shape': (2, 3), }") != std::string::npos);
  CHECK(bytes[127] == '\n');
  float last = 0;
  std::memcpy(&last, bytes.data() + bytes.size() - sizeof last, sizeof last);
  CHECK(last == 6.0f);
  // A FIFO is not seekable, but its reader gets the same bytes.
  const std::string fifo = scratch / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  std::string received;
  std::thread reader([&] { received = moe_test::read_file(fifo); });
  auto stream = create(fifo);
  REQUIRE(stream.has_value());
  CHECK(stream->append(std::vector<float>{1, 2, 3}).has_value());
  CHECK(stream->append(std::vector<float>{4, 5, 6}).has_value());
  CHECK(stream->finish().has_value());
  reader.join();
  CHECK(received == bytes);
}

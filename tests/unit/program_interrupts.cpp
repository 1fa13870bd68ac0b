// Ctrl-C while a program works, and while it waits for a reader.

#include "unit/program_runs.hpp"

using namespace program_runs;

namespace {

// Waits until the program has taken Ctrl-C over; before exec() the child still has this test's own handler.
void wait_until_it_catches(pid_t child, const std::string& program) {
  for (const auto end = Clock::now() + std::chrono::seconds(30); Clock::now() < end;) {
    const std::string process = "/proc/" + std::to_string(child);
    std::error_code gone;
    const bool is_program = fs::read_symlink(process + "/exe", gone) == fs::canonical(program);
    std::ifstream status(process + "/status");
    for (std::string line; is_program && std::getline(status, line);)
      if (line.starts_with("SigCgt:") && (std::stoull(line.substr(7), nullptr, 16) & (1u << (SIGINT - 1))) != 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  FAIL("SIGINT was never caught");
}

std::string many_questions(const Scratch& s) {
  std::ofstream file(s / "many.jsonl");
  for (int i = 0; i < 4000; ++i)
    file << R"({"question":"Is )" << i << R"( more than )" << i * 7 % 1000
         << R"(, and by how much?","choices":["yes, it is more","no, it is not"],"answer":0})"
         << "\n";
  return s / "many.jsonl";
}

}  // namespace

TEST_CASE("Ctrl-C is exit 130 while the work is going on") {
  const Scratch s;
  const std::string many = many_questions(s);
  for (const std::string& program : programs()) {
    if (usage_of(program).lasts.empty()) continue;
    for (const int milliseconds : {0, 100}) {
      CAPTURE(program);
      CAPTURE(milliseconds);
      const Opened none("/dev/null", O_RDWR);
      const Words arguments = replaced(usage_of(program).lasts, "{many}", many);
      const pid_t child = start(program, arguments, {none.descriptor, none.descriptor, none.descriptor});
      wait_until_it_catches(child, program);
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      kill(child, SIGINT);
      kill(child, SIGINT);  // as `timeout` does, at once
      CHECK(wait_for(child, 20) == 130);
      check_nothing_left(s);
    }
  }
}

TEST_CASE("Ctrl-C is exit 130 where a program waits for a reader") {
  const Scratch s;
  const Opened none("/dev/null", O_RDWR);
  REQUIRE(mkfifo((s / "fifo").c_str(), 0600) == 0);
  for (const std::string& program : programs()) {
    CAPTURE(program);
    // Of standard output: a pipe that is full already.
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    const std::string filling(1 << 16, 'x');
    while (write(ends[1], filling.data(), filling.size()) > 0) {
    }
    while (write(ends[1], filling.data(), 1) > 0) {
    }
    fcntl(ends[1], F_SETFL, 0);
    const Words prints = replaced(usage_of(program).prints, "{out}", s / "out.gguf");
    pid_t child = start(program, prints, {none.descriptor, ends[1], none.descriptor});
    wait_until_it_catches(child, program);
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    kill(child, SIGINT);
    CHECK(wait_for(child, 20) == 130);
    close(ends[0]), close(ends[1]);
    fs::remove(s / "out.gguf");
    // Of a FIFO.
    for (const FileOption& option : usage_of(program).files) {
      if (!option.may_be_stream) continue;
      Words arguments = usage_of(program).prints;
      arguments.insert(arguments.end(), option.before.begin(), option.before.end());
      arguments.push_back(s / "fifo");
      child = start(program, arguments, {none.descriptor, none.descriptor, none.descriptor});
      wait_until_it_catches(child, program);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      kill(child, SIGINT);
      CHECK(wait_for(child, 20) == 130);
      CHECK(fs::is_fifo(s / "fifo"));
    }
    check_nothing_left(s);
  }
}

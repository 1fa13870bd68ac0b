#pragma once
// Runs a program as a script would: exit status, what it printed, files in a directory of the test's own.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "support.hpp"

namespace moe_test {

struct ProgramOutcome {
  int status = -1;
  std::string out, err;
};

/// A directory of this process alone, removed at the end.
struct ScratchDir {
  std::filesystem::path dir;
  explicit ScratchDir(const std::string& name)
      : dir(std::filesystem::temp_directory_path() / (name + "_" + std::to_string(getpid()))) {
    std::filesystem::create_directory(dir);
  }
  ~ScratchDir() { std::filesystem::remove_all(dir); }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  std::string operator/(const std::string& name) const { return (dir / name).string(); }
};

inline std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// `environment` as the shell takes it in front of a command, "MOE_THREADS=1".
inline ProgramOutcome run_program(const ScratchDir& scratch, const std::string& environment, const std::string& program,
                                  const std::vector<std::string>& arguments) {
  std::string command = environment + " " + shell_quoted(program);
  for (const std::string& a : arguments) command += " " + shell_quoted(a);
  command += " >" + shell_quoted(scratch / "out") + " 2>" + shell_quoted(scratch / "err");
  const int raw = std::system(command.c_str());
  return {WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw), read_file(scratch / "out"),
          read_file(scratch / "err")};
}

/// The program failed with this status, said so in one line that names `names`, and printed nothing else.
inline void check_one_line(const ProgramOutcome& got, int status, const std::string& names) {
  CAPTURE(got.err);
  CAPTURE(names);
  CHECK(got.status == status);
  CHECK(std::count(got.err.begin(), got.err.end(), '\n') == 1);
  CHECK(got.err.find(names) != std::string::npos);
  for (const char c : got.err) CHECK((c == '\n' || static_cast<unsigned char>(c) >= 0x20));
  CHECK(got.out.empty());
}

}  // namespace moe_test

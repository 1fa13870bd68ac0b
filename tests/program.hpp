#pragma once
// Runs a program as a script would: exit status, what it printed, with a directory for its files.

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "scratch_dir.hpp"

namespace moe_test {

struct ProgramOutcome {
  int status = -1;
  std::string out, err;
};

inline std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// `environment`: what the shell takes in front of a command, "MOE_THREADS=1" or "cat FILE | MOE_THREADS=1". What is
/// printed goes through stdout.txt and stderr.txt of the directory.
inline ProgramOutcome run_program(const ScratchDir& scratch, const std::string& environment, const std::string& program,
                                  const std::vector<std::string>& arguments) {
  std::string command = environment + " " + shell_quoted(program);
  for (const std::string& a : arguments) command += " " + shell_quoted(a);
  command += " >" + shell_quoted(scratch / "stdout.txt") + " 2>" + shell_quoted(scratch / "stderr.txt");
  const int raw = std::system(command.c_str());
  return {WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw), read_file(scratch / "stdout.txt"),
          read_file(scratch / "stderr.txt")};
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

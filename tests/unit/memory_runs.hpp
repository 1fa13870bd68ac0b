#pragma once
// Programs with --memory, on the models of models/nano.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "program.hpp"

namespace memory_runs {

namespace fs = std::filesystem;
using moe_test::check_one_line;
using moe_test::ProgramOutcome;
using moe_test::run_program;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_memory_programs") {}
};

inline const std::string kNano = std::string(MOE_SOURCE_DIR) + "/models/nano/";

inline ProgramOutcome asked(const Scratch& s, const std::vector<std::string>& more) {
  std::vector<std::string> all = {
      "--model", "nano=" + kNano + "nano-moe", "--tasks", kNano + "nano_exam.jsonl", "--limit", "40"};
  all.insert(all.end(), more.begin(), more.end());
  return run_program(s, "MOE_THREADS=2", MOE_EVAL, all);
}

/// The number of bytes that a refusal names.
inline std::string least_of(const ProgramOutcome& refused) {
  std::smatch found;
  REQUIRE_MESSAGE(std::regex_search(refused.err, found, std::regex("expected at least ([0-9]+) ")), refused.err);
  return found[1];
}

inline std::string samples(const fs::path& folder, const std::string& row = "nano") {
  for (const auto& entry : fs::directory_iterator(folder / row))
    if (entry.path().filename().string().starts_with("samples_")) return moe_test::read_file(entry.path());
  return "no samples";
}

/// The most memory that the process of this program held, whatever ran before. It has to succeed.
inline std::int64_t peak_bytes(const Scratch& s, const std::string& program,
                               const std::vector<std::string>& arguments) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // whose only child is the program
    const ProgramOutcome got = run_program(s, "MOE_THREADS=2", program, arguments);
    rusage usage = {};
    getrusage(RUSAGE_CHILDREN, &usage);
    std::ofstream(s.dir / "peak.txt") << usage.ru_maxrss << std::flush;
    _exit(got.status == 0 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE_MESSAGE(status == 0, moe_test::read_file(s / "stderr.txt"));
  return std::stoll(moe_test::read_file(s / "peak.txt")) * 1024;
}

}  // namespace memory_runs

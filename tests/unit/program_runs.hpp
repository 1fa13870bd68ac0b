#pragma once
// Runs of every program. The list of programs is the build's; a new one needs a row of kUsage.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <sstream>
#include <thread>

#include "scratch_dir.hpp"

namespace program_runs {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

inline const std::string kModel = std::string(MOE_SOURCE_DIR) + "/tests/data/golden/qwen3_moe";
inline const std::string kExam = std::string(MOE_SOURCE_DIR) + "/tests/data/stand_in_exam.jsonl";

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_outputs") {}
};

// An option that names an output file. `repeats`: the same command writes the same bytes.
struct FileOption {
  Words before;  // "--logits", or nothing where the file is an argument of its own
  bool repeats = true, may_be_stream = true;
};

struct Usage {
  Words prints;                   // what makes it print something, soon
  Words lasts;                    // what it works at for seconds; empty: it has no such work without a large file
  std::vector<FileOption> files;  // options of `prints` that name a file to write
};

// {out} is a file in the scratch folder that is not there yet, {many} an exam of many questions.
inline const std::map<std::string, Usage> kUsage = {
    {"moe-run", {{"--model", kModel, "--tokens", "5 6 7", "-n", "3"}, {}, {{{"--logits"}}, {{"--routing"}}}}},
    {"moe-inspect", {{kModel}, {kModel, "--peaks", "measure"}, {}}},
    {"moe-quantize", {{kModel, "{out}"}, {}, {{{}, true, false}}}},
    {"moe-serve", {{"--help"}, {}, {}}},  // its one line comes before it serves: tests/serve/check_http.py
    {"moe-eval", {{"--model", kModel, "--tasks", kExam, "--limit", "2"}, {"--model", kModel, "--tasks", "{many}"}, {}}},
    {"moe-bench",
     {{"--model", kModel, "--pp", "4", "--tg", "2", "--reps", "1", "--no-peaks"},
      {"--model", kModel, "--pp", "16", "--tg", "8"},
      {{{"--json"}, false}}}},
};

inline Words programs() {
  Words out;
  std::istringstream all(MOE_PROGRAMS);
  for (std::string path; std::getline(all, path, ':');) out.push_back(path);
  REQUIRE(!out.empty());
  return out;
}

inline const Usage& usage_of(const std::string& program) {
  const auto found = kUsage.find(fs::path(program).filename().string());
  if (found == kUsage.end()) FAIL("no row of kUsage says how to run " << program);
  return found->second;
}

inline Words replaced(Words words, const std::string& from, const std::string& to) {
  std::replace(words.begin(), words.end(), from, to);
  return words;
}

// -1: closed. What the child gets as descriptors 0, 1 and 2.
struct Descriptors {
  int in = -1, out = -1, err = -1;
};

inline pid_t start(const std::string& program, const Words& arguments, Descriptors use) {
  std::vector<char*> argv;
  argv.push_back(const_cast<char*>(program.c_str()));
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  setenv("MOE_THREADS", "1", 1);  // nothing here is about threads
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child > 0) return child;
  for (const auto& [from, to] : {std::pair{use.in, 0}, {use.out, 1}, {use.err, 2}})
    if (from >= 0)
      dup2(from, to);
    else
      close(to);
  signal(SIGPIPE, SIG_DFL);
  execv(program.c_str(), argv.data());
  _exit(127);
}

// Exit status; 128 + N when signal N killed it, -1 when it did not end in time.
inline int wait_for(pid_t child, int seconds = 60) {
  int status = 0;
  for (const auto end = Clock::now() + std::chrono::seconds(seconds); Clock::now() < end;) {
    if (waitpid(child, &status, WNOHANG) == child)
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return -1;
}

struct Opened {
  int descriptor;
  explicit Opened(const std::string& path, int flags) : descriptor(open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    REQUIRE_MESSAGE(descriptor >= 0, path);
  }
  ~Opened() { close(descriptor); }
};

struct Ended {
  int status = -1;
  std::string err;
};

// Runs it to its end with this standard output.
inline Ended run(const Scratch& s, const std::string& program, const Words& arguments, int out) {
  const Opened none("/dev/null", O_RDWR), err(s / "stderr", O_WRONLY | O_CREAT | O_TRUNC);
  Ended ended;
  ended.status = wait_for(start(program, arguments, {none.descriptor, out, err.descriptor}));
  ended.err = moe_test::read_file(s / "stderr");
  return ended;
}
inline Ended run(const Scratch& s, const std::string& program, const Words& arguments) {
  const Opened out(s / "stdout", O_WRONLY | O_CREAT | O_TRUNC);
  return run(s, program, arguments, out.descriptor);
}

inline void check_nothing_left(const Scratch& s) {
  for (const auto& entry : fs::recursive_directory_iterator(s.dir))
    CHECK_MESSAGE(entry.path().filename().string().find(".part") == std::string::npos, entry.path());
}

}  // namespace program_runs

// Every program with outputs that fail: a full disk, a closed descriptor, a reader that has gone or does not read,
// Ctrl-C, and files that are links, FIFOs, devices or cannot be. The list of programs is the build's; a new one needs a
// row below.

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

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

const std::string kModel = std::string(MOE_SOURCE_DIR) + "/tests/data/golden/qwen3_moe";
const std::string kExam = std::string(MOE_SOURCE_DIR) + "/tests/data/stand_in_exam.jsonl";

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
const std::map<std::string, Usage> kUsage = {
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

Words programs() {
  Words out;
  std::istringstream all(MOE_PROGRAMS);
  for (std::string path; std::getline(all, path, ':');) out.push_back(path);
  REQUIRE(!out.empty());
  return out;
}

const Usage& usage_of(const std::string& program) {
  const auto found = kUsage.find(fs::path(program).filename().string());
  if (found == kUsage.end()) FAIL("no row of kUsage says how to run " << program);
  return found->second;
}

Words replaced(Words words, const std::string& from, const std::string& to) {
  std::replace(words.begin(), words.end(), from, to);
  return words;
}

// -1: closed. What the child gets as descriptors 0, 1 and 2.
struct Descriptors {
  int in = -1, out = -1, err = -1;
};

pid_t start(const std::string& program, const Words& arguments, Descriptors use) {
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
int wait_for(pid_t child, int seconds = 60) {
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
Ended run(const Scratch& s, const std::string& program, const Words& arguments, int out) {
  const Opened none("/dev/null", O_RDWR), err(s / "stderr", O_WRONLY | O_CREAT | O_TRUNC);
  Ended ended;
  ended.status = wait_for(start(program, arguments, {none.descriptor, out, err.descriptor}));
  ended.err = moe_test::read_file(s / "stderr");
  return ended;
}
Ended run(const Scratch& s, const std::string& program, const Words& arguments) {
  const Opened out(s / "stdout", O_WRONLY | O_CREAT | O_TRUNC);
  return run(s, program, arguments, out.descriptor);
}

void check_nothing_left(const Scratch& s) {
  for (const auto& entry : fs::recursive_directory_iterator(s.dir))
    CHECK_MESSAGE(entry.path().filename().string().find(".part") == std::string::npos, entry.path());
}

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

TEST_CASE("no line of any --help is wider than 100 columns where nobody knows how wide a terminal is") {
  const Scratch s;
  for (const std::string& program : programs()) {
    std::vector<Words> helps = {{"--help"}};
    for (std::size_t i = 0; i < helps.size(); ++i) {
      CAPTURE(program);
      CAPTURE(helps[i].front());
      const Ended ended = run(s, program, helps[i]);
      REQUIRE_MESSAGE(ended.status == 0, ended.err);
      std::istringstream help(moe_test::read_file(s / "stdout"));
      bool is_list = false;  // of subcommands: each has a help of its own
      for (std::string line; std::getline(help, line);) {
        CHECK_MESSAGE(line.size() <= 100, line);
        CHECK_MESSAGE((line.empty() || line.back() != ' '), line);
        if (is_list && i == 0 && line.size() > 2 && line.starts_with("  ") && line[2] != ' ')
          helps.push_back({line.substr(2, line.find(' ', 2) - 2), "--help"});
        is_list = line == "Subcommands:" || (is_list && line.starts_with(' '));
      }
    }
    if (program.ends_with("moe-eval")) CHECK(helps.size() == 6);
  }
}

TEST_CASE("standard output that is full or closed is exit 1 with its name; a reader that has gone is exit 1 without") {
  const Scratch s;
  for (const std::string& program : programs()) {
    const std::string name = fs::path(program).filename().string();
    for (const Words& arguments : {usage_of(program).prints, Words{"--help"}}) {
      CAPTURE(name);
      CAPTURE(arguments.front());
      int outs = 0;
      const auto asked = [&] { return replaced(arguments, "{out}", s / ("out" + std::to_string(outs++) + ".gguf")); };
      const Ended fine = run(s, program, asked());
      REQUIRE_MESSAGE(fine.status == 0, fine.err);
      CHECK(!moe_test::read_file(s / "stdout").empty());

      const Opened full("/dev/full", O_WRONLY);
      const Ended at_full = run(s, program, asked(), full.descriptor);
      CHECK(at_full.status == 1);
      CHECK(at_full.err.find(name + ": standard output: cannot be written: No space left on device\n") !=
            std::string::npos);

      const Ended at_closed = run(s, program, asked(), -1);
      CHECK(at_closed.status == 1);
      CHECK(at_closed.err.find(name + ": standard output: cannot be written: ") != std::string::npos);

      int ends[2];
      REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
      close(ends[0]);
      const Ended broken = run(s, program, asked(), ends[1]);
      close(ends[1]);
      CHECK(broken.status == 1);
      CHECK_MESSAGE(broken.err.find(name + ":") == std::string::npos, broken.err);
      for (int i = 0; i < outs; ++i) fs::remove(s / ("out" + std::to_string(i) + ".gguf"));
      check_nothing_left(s);
    }
  }
}

TEST_CASE("what is printed never lands in a file that got the number of a closed descriptor") {
  const Scratch s;
  for (const std::string& program : programs())
    for (const FileOption& option : usage_of(program).files) {
      CAPTURE(program);
      Words arguments = replaced(usage_of(program).prints, "{out}", s / "file");
      if (!option.before.empty()) {
        arguments.insert(arguments.end(), option.before.begin(), option.before.end());
        arguments.push_back(s / "file");
      }
      const Ended open_all = run(s, program, arguments);
      CHECK_MESSAGE(open_all.status == 0, open_all.err);
      const std::string expected = moe_test::read_file(s / "file");
      fs::remove(s / "file");
      const int status = wait_for(start(program, arguments, {}));  // all three closed
      CHECK((status == 0 || status == 1));
      if (option.repeats) CHECK(moe_test::read_file(s / "file") == expected);
      fs::remove(s / "file");
    }
}

TEST_CASE("outputs that are links, FIFOs, devices or nothing that can be written") {
  const Scratch s;
  for (const std::string& program : programs())
    for (const FileOption& option : usage_of(program).files) {
      const std::string name = fs::path(program).filename().string();
      CAPTURE(name);
      CAPTURE(option.before.size());
      const auto asked = [&](const std::string& file) {
        Words arguments = replaced(usage_of(program).prints, "{out}", file);
        if (option.before.empty()) return arguments;
        arguments.insert(arguments.end(), option.before.begin(), option.before.end());
        arguments.push_back(file);
        return arguments;
      };
      const Ended plain = run(s, program, asked(s / "plain"));
      REQUIRE_MESSAGE(plain.status == 0, plain.err);
      const std::string bytes = moe_test::read_file(s / "plain");
      CHECK(!bytes.empty());

      fs::create_directory(s / "far");
      fs::create_symlink("far/real", s / "link");
      const Ended linked = run(s, program, asked(s / "link"));
      CHECK_MESSAGE(linked.status == 0, linked.err);
      CHECK(fs::is_symlink(s / "link"));
      CHECK(fs::is_regular_file(fs::symlink_status(s / "far/real")));
      if (option.repeats) CHECK(moe_test::read_file(s / "far/real") == bytes);

      REQUIRE(mkfifo((s / "fifo").c_str(), 0600) == 0);
      std::string received;
      std::thread reader([&] {
        // Both ends: a program that refuses the FIFO never opens it.
        const int in = open((s / "fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        bool begun = false;
        for (const auto end = Clock::now() + std::chrono::seconds(20); Clock::now() < end;) {
          char part[4096];
          const ssize_t n = read(in, part, sizeof part);
          if (n > 0) received.append(part, static_cast<std::size_t>(n)), begun = true;
          if (n == 0 && (begun || fs::exists(s / "over"))) break;
          if (n <= 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        close(in);
      });
      const Ended into_fifo = run(s, program, asked(s / "fifo"));
      std::ofstream(s / "over") << "";
      reader.join();
      CHECK(fs::is_fifo(s / "fifo"));
      CHECK(into_fifo.status == (option.may_be_stream ? 0 : 1));
      if (option.may_be_stream && option.repeats) CHECK(received == bytes);

      Words bads = {s / "absent/file", s / "far", moe_test::full_device(s.dir)};
      if (bads.back().empty()) bads.pop_back(), moe_test::report_skip(name + " on a full device", "none can be made");
      for (const std::string& bad : bads) {
        CAPTURE(bad);
        const Ended failed = run(s, program, asked(bad));
        CHECK(failed.status == 1);
        CHECK(std::count(failed.err.begin(), failed.err.end(), '\n') >= 1);
        CHECK(failed.err.find(name + ": " + bad) != std::string::npos);
      }
      check_nothing_left(s);
      for (const auto& entry : fs::directory_iterator(s.dir)) fs::remove_all(entry.path());
    }
}

TEST_CASE("no program writes over the model that it reads") {
  const Scratch s;
  const std::string model = s / "model";
  fs::copy(kModel, model, fs::copy_options::recursive);
  fs::create_hard_link(model + "/config.json", s / "hard");
  fs::create_symlink("model/model.safetensors", s / "soft");
  const std::string config = moe_test::read_file(model + "/config.json");
  const auto size = fs::file_size(model + "/model.safetensors");
  for (const std::string& program : programs())
    for (const FileOption& option : usage_of(program).files)
      for (const std::string& file : {model + "/config.json", s / "hard", s / "soft"}) {
        CAPTURE(program);
        CAPTURE(file);
        Words arguments = replaced(replaced(usage_of(program).prints, kModel, model), "{out}", file);
        for (const std::string& word : option.before) arguments.push_back(word);
        if (!option.before.empty()) arguments.push_back(file);
        const Ended ended = run(s, program, arguments);
        CHECK(ended.status == 1);
        CHECK_MESSAGE(ended.err.find("which the model is read from") != std::string::npos, ended.err);
      }
  CHECK(moe_test::read_file(model + "/config.json") == config);
  CHECK(fs::file_size(model + "/model.safetensors") == size);
}

TEST_CASE("an empty path is a wrong usage, never no path at all") {
  const Scratch s;
  const std::map<std::string, std::vector<Words>> paths = {
      {"moe-run", {{"--model", ""}, {"--logits", ""}, {"--routing", ""}}},
      {"moe-inspect", {{""}, {kModel, "--peaks", ""}}},
      {"moe-quantize", {{"", s / "o"}, {kModel, ""}}},
      {"moe-serve", {{"--model", ""}, {"--api-key-file", ""}, {"--chat-template", ""}}},
      {"moe-bench", {{"--model", ""}, {"--json", ""}}},
      {"moe-eval",
       {{"--model", ""},
        {"--model", "m="},
        {"--tasks", ""},
        {"--data", ""},
        {"--out", ""},
        {"--cache", ""},
        {"history", "--cache", ""},
        {"compare", "1", "2", "--cache", ""}}},
  };
  for (const std::string& program : programs()) {
    const auto found = paths.find(fs::path(program).filename().string());
    REQUIRE_MESSAGE(found != paths.end(), program);
    for (const Words& some : found->second) {
      Words arguments = some;
      if (some[0].starts_with("--"))
        for (const std::string& word : usage_of(program).prints)
          if (word != some[0]) arguments.push_back(word);
      // Its own option once, without its value.
      if (some[0] == "--model" || some[0] == "--tasks") {
        const auto& prints = usage_of(program).prints;
        const auto at = std::find(prints.begin(), prints.end(), some[0]);
        if (at != prints.end()) arguments.erase(arguments.begin() + 2 + (at - prints.begin()));
      }
      CAPTURE(program);
      CAPTURE(some.back());
      CAPTURE(some[0]);
      const Ended ended = run(s, program, arguments);
      CHECK_MESSAGE(ended.status == 2, ended.err);
      CHECK_MESSAGE(ended.err.find("is empty") != std::string::npos, ended.err);
    }
  }
}

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

TEST_CASE("moe-eval prints its tables and writes what it can when one file cannot be written or nobody reads") {
  const Words all = programs();
  const auto found =
      std::find_if(all.begin(), all.end(), [](const std::string& p) { return p.ends_with("/moe-eval"); });
  if (found == all.end()) return moe_test::report_skip("files of moe-eval", "it is not built");
  const Scratch s;
  fs::create_directory(s / "out");
  const std::string full_device = moe_test::full_device(s.dir);
  if (full_device.empty()) return moe_test::report_skip("files of moe-eval", "no full device can be made here");
  fs::create_symlink(full_device, s / "out/run.json");
  const Words arguments = {"--model", "m=" + kModel, "--tasks", kExam, "--limit", "2", "--out", s / "out"};
  const auto files = [&] {
    std::ptrdiff_t count = 0;
    for (const auto& entry : fs::directory_iterator(s / "out/m")) count += entry.is_regular_file();
    return count;
  };
  const Ended full = run(s, *found, arguments);
  CHECK(full.status == 1);
  CHECK(full.err.find("run.json: cannot be written: No space left on device") != std::string::npos);
  CHECK(moe_test::read_file(s / "stdout").find("stand_in_exam: ") != std::string::npos);
  CHECK(files() == 2);  // samples and results
  // Nobody reads the tables: the files are written nevertheless.
  fs::remove(s / "out/run.json");
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  close(ends[0]);
  CHECK(run(s, *found, arguments, ends[1]).status == 1);
  close(ends[1]);
  CHECK(files() == 4);
  CHECK(fs::is_regular_file(s / "out/run.json"));
}

// Every program with outputs that fail: a full disk, a closed descriptor, a reader that has gone or does not read, and files
// that are links, FIFOs, devices or cannot be.

#include "unit/program_runs.hpp"

using namespace program_runs;

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
    if (program.ends_with("moe-eval")) CHECK(helps.size() == 7);
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

namespace {

/// What is written to the FIFO of `s` until its writer has gone, or has ended without opening it: then there is a file
/// "over". At most 20 seconds.
std::string read_fifo(const Scratch& s) {
  const int in = open((s / "fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  std::string received;
  for (const auto end = Clock::now() + std::chrono::seconds(20); Clock::now() < end;) {
    char part[4096];
    const ssize_t n = read(in, part, sizeof part);
    if (n > 0) received.append(part, static_cast<std::size_t>(n));
    if (n == 0 && (!received.empty() || fs::exists(s / "over"))) break;
    if (n <= 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  close(in);
  return received;
}

/// Outputs that cannot be: in no directory, a directory, a full device. `asked`: the arguments for an output.
void check_bad_outputs(const Scratch& s, const std::string& program,
                       const std::function<Words(const std::string&)>& asked) {
  const std::string name = fs::path(program).filename().string();
  Words bads = {s / "absent/file", s / "far", moe_test::full_device(s.dir)};
  if (bads.back().empty()) bads.pop_back(), moe_test::report_skip(name + " on a full device", "none can be made");
  for (const std::string& bad : bads) {
    CAPTURE(bad);
    const Ended failed = run(s, program, asked(bad));
    CHECK(failed.status == 1);
    CHECK(std::count(failed.err.begin(), failed.err.end(), '\n') >= 1);
    CHECK(failed.err.find(name + ": " + bad) != std::string::npos);
  }
}

}  // namespace

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
      std::thread reader([&] { received = read_fifo(s); });
      const Ended into_fifo = run(s, program, asked(s / "fifo"));
      std::ofstream(s / "over") << "";
      reader.join();
      CHECK(fs::is_fifo(s / "fifo"));
      CHECK(into_fifo.status == (option.may_be_stream ? 0 : 1));
      if (option.may_be_stream && option.repeats) CHECK(received == bytes);

      check_bad_outputs(s, program, asked);
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

namespace {

/// `--option ""`, whose option is at `at`, as the one word `--option=`.
Words in_one_word(Words arguments, std::size_t at) {
  arguments[at] += "=";
  arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  return arguments;
}

/// The path of the program; empty if it is not built.
std::string program_named(const std::string& name) {
  for (const std::string& program : programs())
    if (fs::path(program).filename() == name) return program;
  return {};
}

}  // namespace

TEST_CASE("an empty path is a wrong usage, never no path at all, and never the next word") {
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
      std::vector<Words> forms = {arguments};
      if (some.size() > 1 && some.back().empty() && some[some.size() - 2].starts_with("--"))
        forms.push_back(in_one_word(arguments, some.size() - 2));
      for (const Words& form : forms) {
        CAPTURE(form.size());
        const Ended ended = run(s, program, form);
        CHECK_MESSAGE(ended.status == 2, ended.err);
        CHECK_MESSAGE(ended.err.find("is empty") != std::string::npos, ended.err);
      }
    }
  }
}

TEST_CASE("moe-bench --disk takes no option of a model's measurements") {
  const std::string bench = program_named("moe-bench");
  if (bench.empty()) return moe_test::report_skip("--disk of moe-bench", "it is not built");
  const Scratch s;
  const std::string measured = s.write("measured", std::string(1 << 20, 'x'));
  for (const Words& other : {Words{"--model", "m.gguf"}, Words{"--pp", "8"}, Words{"--reps", "1"},
                             Words{"--memory", "1G"}, Words{"--no-peaks"}, Words{"--threads", "1"}}) {
    Words arguments = {"--disk", measured};
    arguments.insert(arguments.end(), other.begin(), other.end());
    const Ended ended = run(s, bench, arguments);
    CHECK(ended.status == 2);
    CHECK_MESSAGE(ended.err.find("--disk") != std::string::npos, ended.err);
    CHECK_MESSAGE(ended.err.find(other[0]) != std::string::npos, ended.err);
  }
}

TEST_CASE("moe-bench --disk does not replace the file that it measures") {
  const std::string bench = program_named("moe-bench");
  if (bench.empty()) return moe_test::report_skip("--disk of moe-bench", "it is not built");
  const Scratch s;
  const std::string bytes(1 << 20, 'x'), measured = s.write("measured", bytes);
  fs::create_symlink("measured", s / "link");
  fs::create_hard_link(measured, s / "hard");
  for (const std::string& json : {measured, s / "link", s / "hard"}) {
    const Ended ended = run(s, bench, {"--disk", measured, "--json", json});
    CHECK(ended.status == 1);
    CHECK_MESSAGE(ended.err.find("--json " + json + " is what is measured") != std::string::npos, ended.err);
  }
  CHECK(moe_test::read_file(measured) == bytes);
}

TEST_CASE("moe-eval prints its tables and writes what it can when one file cannot be written or nobody reads") {
  const std::string moe_eval = program_named("moe-eval");
  if (moe_eval.empty()) return moe_test::report_skip("files of moe-eval", "it is not built");
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
  const Ended full = run(s, moe_eval, arguments);
  CHECK(full.status == 1);
  CHECK(full.err.find("run.json: cannot be written: No space left on device") != std::string::npos);
  CHECK(moe_test::read_file(s / "stdout").find("stand_in_exam: ") != std::string::npos);
  CHECK(files() == 2);  // samples and results
  // Nobody reads the tables: the files are written nevertheless.
  fs::remove(s / "out/run.json");
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  close(ends[0]);
  CHECK(run(s, moe_eval, arguments, ends[1]).status == 1);
  close(ends[1]);
  CHECK(files() == 4);
  CHECK(fs::is_regular_file(s / "out/run.json"));
}

// moe-run --chat, --messages and --show-prompt, as a script drives them, and --chat on a terminal.

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <regex>

#include "program.hpp"

namespace fs = std::filesystem;
using moe_test::ProgramOutcome;
using moe_test::run_program;
using moe_test::ScratchDir;

namespace {

const std::string kRun = MOE_RUN;
constexpr const char* kTemplate =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' and 'refuse' in m.content %}"
    "{{ raise_exception('not that') }}{% endif %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}";

void write_file(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// The model of the README with a template of its own.
struct Folder : ScratchDir {
  explicit Folder(bool with_template = true) : ScratchDir("moe_chat_program") {
    for (const auto& file : fs::directory_iterator(fs::path(MOE_SOURCE_DIR) / "models/nano/nano-moe"))
      fs::create_symlink(file.path(), dir / file.path().filename());
    if (with_template) write_file(dir / "chat_template.jinja", kTemplate);
  }
  ProgramOutcome run(const std::vector<std::string>& more, const std::string& input = "") const {
    write_file(dir / "in", input);
    std::vector<std::string> arguments = {"--model", dir.string(), "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    // The program's standard input is a file: `run_program` appends the outputs.
    return run_program(*this, "<" + moe_test::shell_quoted(dir / "in"), kRun, arguments);
  }
};

// "prompt 120, 96 reused" of every reply.
std::vector<std::pair<int, int>> counts_of(const std::string& status) {
  std::vector<std::pair<int, int>> out;
  const std::regex pattern("prompt ([0-9]+), ([0-9]+) reused");
  for (std::sregex_iterator at(status.begin(), status.end(), pattern), end; at != end; ++at)
    out.emplace_back(std::stoi((*at)[1]), std::stoi((*at)[2]));
  return out;
}

/// moe-run on a terminal of its own, started in a folder.
class OnTerminal {
 public:
  OnTerminal(const ScratchDir& folder, const std::vector<std::string>& arguments) {
    child_ = forkpty(&terminal_, nullptr, nullptr, nullptr);
    REQUIRE(child_ >= 0);
    if (child_ > 0) return;
    std::vector<char*> words = {const_cast<char*>(kRun.c_str())};
    for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    setenv("TERM", "xterm", 1);
    setenv("HOME", folder.dir.c_str(), 1);  // no settings of the editor, a history of its own
    unsetenv("EDITRC");
    unsetenv("XDG_STATE_HOME");
    if (chdir(folder.dir.c_str()) == 0) execv(kRun.c_str(), words.data());
    _exit(127);
  }
  ~OnTerminal() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(terminal_);
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  void type(const std::string& keys) const {
    REQUIRE(::write(terminal_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
  }
  /// Reads once; false: nothing came in this time.
  bool reads(int milliseconds) {
    pollfd waits{terminal_, POLLIN, 0};
    if (::poll(&waits, 1, milliseconds) <= 0) return false;
    char bytes[4096];
    const ssize_t got = ::read(terminal_, bytes, sizeof bytes);
    if (got > 0) text_.append(bytes, static_cast<std::size_t>(got));
    return got > 0;
  }
  void settle() {
    while (reads(500)) {
    }
  }
  /// Reads until this has come, behind what was waited for before.
  bool shows(const std::string& text) {
    for (const auto end = in_time(); Clock::now() < end; reads(100))
      if (const std::size_t found = text_.find(text, at_); found != std::string::npos) {
        at_ = found + text.size();
        return true;
      }
    return false;
  }
  /// Reads until so many bytes more have come.
  bool shows_more(std::size_t bytes) {
    const std::size_t wanted = text_.size() + bytes;
    for (const auto end = in_time(); Clock::now() < end && text_.size() < wanted;) reads(100);
    return text_.size() >= wanted;
  }
  /// The exit status; -1: it did not end by itself in time.
  int status() {
    int ended = 0;
    for (const auto end = in_time(); Clock::now() < end; reads(20)) {
      if (waitpid(child_, &ended, WNOHANG) != child_) continue;
      child_ = -1;
      return WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
    }
    return -1;
  }
  const std::string& seen() const { return text_; }

 private:
  using Clock = std::chrono::steady_clock;
  static Clock::time_point in_time() { return Clock::now() + std::chrono::seconds(60); }

  pid_t child_ = -1;
  int terminal_ = -1;
  std::string text_;
  std::size_t at_ = 0;
};

}  // namespace

TEST_CASE("Ctrl-C while a terminal is stopped by Ctrl-S ends the reply, and the conversation goes on") {
  const Folder folder;
  // A context whose end no reply of this test reaches.
  std::string config = moe_test::read_file(folder / "config.json");
  const std::string context = "\"max_position_embeddings\": 1024";
  REQUIRE(config.find(context) != std::string::npos);
  config.replace(config.find(context), context.size(), "\"max_position_embeddings\": 32768");
  fs::remove(folder / "config.json");
  write_file(folder / "config.json", config);

  OnTerminal chat(folder,
                  {"--model", folder.dir.string(), "--threads", "1", "--chat", "--ignore-eos", "--temp", "1.5"});
  REQUIRE_MESSAGE(chat.shows("> "), chat.seen());
  chat.settle();
  chat.type("What is iron?\r");
  REQUIRE_MESSAGE(chat.shows_more(500), chat.seen());
  chat.type("\x13");
  chat.settle();
  REQUIRE_MESSAGE(chat.seen().find("GFLOPs") == std::string::npos, chat.seen());  // it is being written
  chat.type("\x03");
  REQUIRE_MESSAGE(chat.shows("; stopped]"), chat.seen());
  chat.settle();
  chat.type("/save chat.json\r");
  chat.settle();
  chat.type("\x04");
  CHECK_MESSAGE(chat.status() == 0, chat.seen());
  const std::string saved = moe_test::read_file(folder / "chat.json");
  CHECK(saved.find("What is iron?") != std::string::npos);
  CHECK(saved.find("assistant") != std::string::npos);
}

TEST_CASE("a conversation: the second turn computes only what is new, and is what --messages gives") {
  const Folder folder;
  const std::string saved = folder / "chat.json";
  const ProgramOutcome chat =
      folder.run({"--chat", "-n", "6"}, "What is iron?\nAnd copper?\n/save " + saved + "\n/quit\nnot asked\n");
  CAPTURE(chat.err);
  REQUIRE(chat.status == 0);
  const auto counts = counts_of(chat.err);
  REQUIRE(counts.size() == 2);
  CHECK(counts[0].second == 0);
  // All of the first turn but its last token, whose logits are asked for again or whose text goes on.
  CHECK(counts[1].second >= counts[0].first);
  CHECK(counts[1].first > counts[1].second);

  const std::string json = moe_test::read_file(saved);
  CHECK(std::count(json.begin(), json.end(), '{') == 4);
  // The first three messages ask for the last one again: without the conversation's cache, the same text.
  const std::size_t last = json.rfind(",\n  {");
  write_file(folder / "three.json", json.substr(0, last) + "\n]\n");
  const ProgramOutcome again = folder.run({"--messages", folder / "three.json", "-n", "6"});
  REQUIRE(again.status == 0);
  REQUIRE(again.out.size() > 1);
  REQUIRE(chat.out.size() > again.out.size());
  CHECK(chat.out.substr(chat.out.size() - again.out.size()) == again.out);
}

TEST_CASE("--show-prompt prints what the model would read") {
  const Folder folder;
  write_file(folder / "m.json", R"([{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}])");
  const ProgramOutcome shown = folder.run({"--messages", folder / "m.json", "--show-prompt"});
  CAPTURE(shown.err);
  REQUIRE(shown.status == 0);
  CHECK(shown.out.find("system: S\nuser: Q\nassistant:") != std::string::npos);
  CHECK(shown.err.find(" tokens: ") != std::string::npos);
  write_file(folder / "t.jinja", "<{{ messages[0].content }}|{{ x }}>");
  const ProgramOutcome other = folder.run({"--messages", folder / "m.json", "--show-prompt", "--chat-template",
                                           folder / "t.jinja", "--chat-template-args", R"({"x": 7})"});
  CHECK(other.out == "<S|7>");
}

TEST_CASE("what a script does wrong is one line and an exit status") {
  const Folder folder, bare(false);
  using moe_test::check_one_line;
  check_one_line(bare.run({"--chat"}, "hi\n"), 1, "chat template");
  check_one_line(folder.run({"--chat"}, "refuse\n"), 1, "not that");
  check_one_line(folder.run({"--chat"}, "/sav x\n"), 1, "/sav");
  check_one_line(folder.run({"--chat"}, "/retry\n"), 1, "/retry");
  check_one_line(folder.run({"--chat"}, "/save\n"), 1, "/save");
  check_one_line(folder.run({"--chat", "--chat-template", "absent"}, "hi\n"), 1, "absent");
  check_one_line(folder.run({"--chat", "--prompt", "x"}), 2, "--chat");
  check_one_line(folder.run({"--chat", "-n", "0"}, "hi\n"), 2, "-n");
  check_one_line(folder.run({"--messages", folder / "absent.json"}), 1, "absent.json");
  write_file(folder / "bad.json", R"([{"role": 1}])");
  check_one_line(folder.run({"--messages", folder / "bad.json"}), 1, "bad.json");
  check_one_line(folder.run({"--prompt", "x", "--system", "y"}), 2, "--system");
  check_one_line(folder.run({"--prompt", "x", "--chat-template", "default"}), 2, "--chat-template");
  check_one_line(folder.run({"--prompt", "x", "--chat-date", "2026-01-01"}), 2, "--chat-date");
  check_one_line(folder.run({"--prompt", "x", "--show-prompt", "--logits", folder / "l.npy"}), 2, "--show-prompt");
  // Files are read before the model is: a wrong one costs no loading.
  CHECK(run_program(folder, "", kRun, {"--model", "/absent", "--messages", folder / "absent.json"})
            .err.find("absent.json") != std::string::npos);
  CHECK(folder.run({"--chat"}, "").status == 0);
  CHECK(folder.run({"--chat"}, "/help\n/clear\n/system Be brief.\n").status == 0);
}

#ifdef MOE_EXAMPLE_CHAT
TEST_CASE("the example talks, and its second turn computes what is new") {
  const Folder folder;
  write_file(folder.dir / "in", "What is iron?\nAnd copper?\n");
  const ProgramOutcome got = run_program(folder, "OMP_NUM_THREADS=1 <" + moe_test::shell_quoted(folder / "in"),
                                         MOE_EXAMPLE_CHAT, {folder.dir.string()});
  CAPTURE(got.err);
  REQUIRE(got.status == 0);
  const std::regex pattern("([0-9]+) of ([0-9]+) before them reused");
  std::vector<std::pair<int, int>> counts;
  for (std::sregex_iterator at(got.err.begin(), got.err.end(), pattern), end; at != end; ++at)
    counts.emplace_back(std::stoi((*at)[1]), std::stoi((*at)[2]));
  REQUIRE(counts.size() == 2);
  CHECK(counts[0].first == 0);
  CHECK(counts[1].first >= counts[0].second);
  const Folder bare(false);
  write_file(bare.dir / "in", "hi\n");
  const ProgramOutcome none =
      run_program(bare, "<" + moe_test::shell_quoted(bare / "in"), MOE_EXAMPLE_CHAT, {bare.dir.string()});
  CHECK(none.status == 1);
  CHECK(none.err.find("chat template") != std::string::npos);
}
#endif

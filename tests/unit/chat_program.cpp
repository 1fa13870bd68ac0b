// moe-run --chat, --messages and --show-prompt, as a script drives them.

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

}  // namespace

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

// moe-eval with chat templates as a script sees it: options, result files, the store, rows with and without a template.

#include <nlohmann/json.hpp>

#include "moe/eval/store.hpp"
#include "program.hpp"
#include "support/sha256.hpp"

namespace eval_chat_programs_test {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using moe_test::check_one_line;
using moe_test::ProgramOutcome;

const std::string kExam = std::string(MOE_SOURCE_DIR) + "/tests/data/stand_in_exam.jsonl";
const std::string kTemplate =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{{ mood }}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_chat_programs") {}
  /// A model, with a template where `text` is not empty.
  std::string model(const std::string& name, const std::string& text) const {
    fs::copy(std::string(MOE_SOURCE_DIR) + "/tests/data/golden/qwen3_moe", dir / name);
    if (!text.empty()) write(name + "/chat_template.jinja", text);
    return *this / name;
  }
  ProgramOutcome run(const std::vector<std::string>& arguments) const {
    return moe_test::run_program(*this, "MOE_THREADS=1", MOE_EVAL, arguments);
  }
};

Json results_of(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with("results_")) return Json::parse(moe_test::read_file(entry.path()));
  FAIL("no results in " << folder);
  return {};
}

std::vector<Json> samples_of(const fs::path& folder) {
  std::vector<Json> out;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with("samples_"))
      for (const std::string& line : moe_test::read_lines(entry.path())) out.push_back(Json::parse(line));
  REQUIRE_FALSE(out.empty());
  return out;
}

}  // namespace

TEST_CASE("options of chat templates that do not go together, and templates that are not there, end with one line") {
  const Scratch s;
  const std::string bare = s.model("bare", ""), chat = s.model("chat", kTemplate);
  const std::string named = s.model("named", "D"), broken = s.model("broken", "{% if %}");
  s.write("named/additional_chat_templates/rag.jinja", "R{{ raise_exception('no rag') }}");
  const auto asked = [&](const std::string& model, std::vector<std::string> more) {
    more.insert(more.begin(), {"--model", "m=" + model, "--tasks", kExam, "--limit", "2"});
    return s.run(more);
  };
  check_one_line(asked(chat, {"--fewshot-as-multiturn", "true"}), 2, "needs --apply-chat-template");
  check_one_line(asked(chat, {"--fewshot-as-multiturn", "maybe"}), 2, "expected true or false");
  check_one_line(asked(chat, {"--chat-template-args", "{}"}), 2, "--chat-template-args needs");
  check_one_line(asked(chat, {"--chat-date", "2026-01-01"}), 2, "--chat-date needs");
  check_one_line(asked(chat, {"--enable-thinking", "false"}), 2, "--enable-thinking needs");
  check_one_line(asked(chat, {"--apply-chat-template", "--enable-thinking", "true"}), 2, "needs --think-end-token");
  check_one_line(asked(chat, {"--apply-chat-template", "--sweep", "chat_template=none,default"}), 2,
                 "--sweep chat_template replaces --apply-chat-template");
  check_one_line(asked(chat, {"--apply-chat-template", "default", "--chat-template", "rag"}), 2, "say two things");
  check_one_line(asked(chat, {"--sweep", "chat_template=none", "--fewshot-as-multiturn", "true"}), 2, "needs");

  check_one_line(asked(chat, {"--apply-chat-template", "--enable-thinking", "true", "--think-end-token", "</t>"}), 1,
                 "the answers of task 'stand_in_exam' are scored");
  check_one_line(asked(bare, {"--apply-chat-template"}), 1,
                 "no chat template: the model has none; the text of one can be given instead");
  check_one_line(asked(broken, {"--apply-chat-template"}), 1, "m: chat template 'default', line 1");
  check_one_line(asked(chat, {"--chat-template", s / "absent.jinja"}), 1, "absent.jinja");
  check_one_line(asked(chat, {"--chat-template", s.write("empty.jinja", "")}), 1, "is empty");
  check_one_line(asked(chat, {"--chat-template", "rag"}), 1, "no chat template 'rag': the model has 'default'");
  check_one_line(asked(named, {"--apply-chat-template", "rug"}), 1, "the model has 'default', 'rag'");
  check_one_line(asked(named, {"--chat-template", "rag"}), 1, "TemplateError: no rag");
  check_one_line(asked(chat, {"--apply-chat-template", "--chat-template-args", "[]"}), 1, "expected a JSON object");
  check_one_line(asked(chat, {"--apply-chat-template", "--chat-template-args", R"({"messages": 1})"}), 1,
                 "'messages' is no name");
  check_one_line(asked(chat, {"--apply-chat-template", "--chat-date", "soon"}), 1, "expected YYYY-MM-DD");
  check_one_line(asked(chat, {"--sweep", "chat_template=none,rag", "--cache", s / "asked.db"}), 1, "'rag'");
  CHECK_FALSE(fs::exists(s / "asked.db"));
}

TEST_CASE("result files, run.json and the store say how a template was applied") {
  const Scratch s;
  const std::string model = s.model("model", kTemplate);
  const auto asked = [&](const std::string& out, std::vector<std::string> more) {
    more.insert(more.begin(), {"--model", "m=" + model, "--tasks", kExam, "--limit", "3", "--cache", s / "runs.db",
                               "--out", s / out, "--system-instruction", "Think."});
    const auto got = s.run(more);
    REQUIRE_MESSAGE(got.status == 0, got.err);
    return results_of(s.dir / out / "m");
  };
  const Json plain = asked("plain", {});
  CHECK(plain["chat_template"].is_null());
  CHECK(plain["chat_template_sha"].is_null());
  CHECK(plain["fewshot_as_multiturn"].is_null());
  const Json chat = asked("chat", {"--apply-chat-template"});
  CHECK(chat["chat_template"] == kTemplate);
  CHECK(chat["chat_template_sha"] == moe::sha256_hex(kTemplate));
  CHECK(chat["fewshot_as_multiturn"] == true);
  CHECK(chat["system_instruction"] == "Think.");
  CHECK(chat["system_instruction_sha"] == moe::sha256_hex("Think."));
  const Json first = samples_of(s.dir / "chat/m").front();
  const auto prompt = first["arguments"]["gen_args_0"]["arg_0"].get<std::string>();
  CHECK(prompt.starts_with("<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\nQuestion: "));
  CHECK(prompt.ends_with("\nAnswer:<|im_end|>\n<|im_start|>assistant\n"));
  CHECK_FALSE(first["arguments"]["gen_args_0"]["arg_1"].get<std::string>().starts_with(" "));
  CHECK(samples_of(s.dir / "plain/m").front()["arguments"]["gen_args_0"]["arg_1"].get<std::string>().starts_with(" "));

  asked("single", {"--apply-chat-template", "--fewshot-as-multiturn", "false"});
  asked("moody", {"--apply-chat-template", "--chat-template-args", R"({"mood": "good"})"});
  asked("unused", {"--apply-chat-template", "--chat-template-args", R"({"unused": 1})"});
  const Json given = asked("given", {"--chat-template", s.write("x.jinja", "X{{ messages[-1].content }}")});
  CHECK(given["chat_template"] == "X{{ messages[-1].content }}");
  CHECK(Json::parse(moe_test::read_file(s / "moody/run.json"))["models"][0]["chat"]["variables"] ==
        R"({"mood": "good"})");
  const auto runs = [&] { return moe::eval::RunStore::open_read_only(s / "runs.db").value()->runs().value().size(); };
  CHECK(runs() == 6);
  // The same again is known, whatever day it is: this template does not ask for the date.
  asked("again", {"--apply-chat-template", "--chat-date", "2031-05-06"});
  CHECK(runs() == 6);
  CHECK(Json::parse(moe_test::read_file(s / "again/run.json"))["models"][0]["tasks"][0]["executed"]["total"] == 0);
  asked("thinking", {"--apply-chat-template", "--think-end-token", "</t>"});
  CHECK(runs() == 7);
}

TEST_CASE("rows with and without a template stand in one table, with their gap") {
  const Scratch s;
  const std::string model = s.model("chat", kTemplate);
  const auto got = s.run(
      {"--model", "m=" + model, "--tasks", kExam, "--sweep", "chat_template=none,default", "--out", s / "results"});
  REQUIRE_MESSAGE(got.status == 0, got.err);
  CHECK(got.out.find("m[chat_template=none] - m[chat_template=default]") != std::string::npos);
  CHECK(results_of(s.dir / "results/m[chat_template=none]")["chat_template"].is_null());
  CHECK(results_of(s.dir / "results/m[chat_template=default]")["chat_template"] == kTemplate);
  const auto bare = samples_of(s.dir / "results/m[chat_template=none]"),
             chat = samples_of(s.dir / "results/m[chat_template=default]");
  REQUIRE(bare.size() == chat.size());
  for (std::size_t i = 0; i < bare.size(); ++i) {
    CHECK(bare[i]["doc"] == chat[i]["doc"]);
    CHECK(bare[i]["arguments"] != chat[i]["arguments"]);
  }
}

TEST_CASE("a template that shows the date: stored answers are of a day, and shards need one") {
  const Scratch s;
  const std::string dated = s.model("dated", "{{ strftime_now('%d %b %Y') }}" + kTemplate);
  const std::string guarded = s.model("guarded", "{% if mood %}{{ strftime_now('%d %b %Y') }}{% endif %}" + kTemplate);
  const auto asked = [&](const std::string& model, std::vector<std::string> more) {
    more.insert(more.begin(), {"--model", "m=" + model, "--tasks", kExam, "--limit", "2", "--apply-chat-template"});
    return s.run(more);
  };
  const std::string cache = s / "runs.db";
  const auto noted = asked(dated, {"--cache", cache});
  CHECK_MESSAGE(noted.status == 0, noted.err);
  CHECK(noted.err.find("m: note: the chat template shows the date") != std::string::npos);
  check_one_line(asked(dated, {"--cache", cache, "--shard", "1/2"}), 1, "give all of them --chat-date ");
  // Only where there is a system text: the second task has one.
  const std::string usual =
      s.model("usual", "{% if messages[0].role == 'system' %}{{ strftime_now('%d') }}{% endif %}" + kTemplate);
  const std::string described = s.write("described.json", R"({"task": "described", "questions": ")" + kExam +
                                                              R"(", "description": "Think.\n\n",
      "prompt": "{question}", "metrics": ["acc"]})");
  CHECK(asked(usual, {"--tasks", described, "--cache", cache}).err.find("shows the date") != std::string::npos);
  for (const ProgramOutcome& quiet :
       {asked(dated, {}), asked(dated, {"--cache", cache, "--chat-date", "2026-01-02"}),
        asked(guarded, {"--cache", cache}), asked(guarded, {"--cache", cache, "--shard", "1/2"})}) {
    CHECK_MESSAGE(quiet.status == 0, quiet.err);
    CHECK(quiet.err.find("shows the date") == std::string::npos);
  }
}

TEST_CASE("a template that shows the date to one subject alone shows it") {
  const Scratch s;
  const std::string dated =
      s.model("dated", "{% if 'late' in messages[-1].content %}{{ strftime_now('%d %b %Y') }}{% endif %}" + kTemplate);
  std::string questions;
  for (const char* subject : {"early", "late"})
    questions += Json{{"id", subject},
                      {"question", std::string(subject) + "?"},
                      {"choices", {"x", "y"}},
                      {"answer", 0},
                      {"subject", subject}}
                     .dump() +
                 "\n";
  s.write("subjects.jsonl", questions);
  const std::string task = s.write("subjects.json", Json{{"task", "subjects"},
                                                         {"questions", "./subjects.jsonl"},
                                                         {"prompt", "{question}"},
                                                         {"metrics", {"acc"}},
                                                         {"subtasks", {{"name", "{subject}"}}}}
                                                        .dump());
  const auto got = s.run({"--model", "m=" + dated, "--tasks", task, "--apply-chat-template", "--cache", s / "runs.db"});
  CHECK_MESSAGE(got.status == 0, got.err);
  CHECK(got.err.find("shows the date") != std::string::npos);
}

TEST_CASE("a template that refuses a system text is asked without it, and says so") {
  const Scratch s;
  const std::string model =
      s.model("chat", "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + kTemplate);
  const auto got = s.run({"--model", "m=" + model, "--tasks", kExam, "--limit", "2", "--apply-chat-template",
                          "--system-instruction", "Think.", "--out", s / "results"});
  REQUIRE_MESSAGE(got.status == 0, got.err);
  CHECK(got.err.find("the chat template refuses a system text: 2 prompts have none") != std::string::npos);
  CHECK(results_of(s.dir / "results/m")["libmoe_checks"]["stand_in_exam"]["without_system"] == 2);
  const auto named = s.run({"--model", "m=" + model, "--tasks", kExam, "--limit", "2", "--apply-chat-template", "x"});
  CHECK(named.status == 0);
  CHECK(named.err.find("the model has one chat template") != std::string::npos);
}

}  // namespace eval_chat_programs_test

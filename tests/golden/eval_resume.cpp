// A killed run can continue from any point: the rest of its prefix tree is another tree, for which the cache must also
// suffice. The exams are those whose trees differ most.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "moe/eval/report.hpp"
#include "moe/eval/session_model.hpp"
#include "moe/eval/store.hpp"
#include "scratch_dir.hpp"

namespace eval_resume_test {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using namespace moe::eval;

namespace {

const fs::path kNano = fs::path(MOE_SOURCE_DIR) / "models/nano";
constexpr std::int64_t kKills = 20;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_resume") {}
};

std::shared_ptr<const moe::Model> nano() {
  const auto model = moe::Model::load((kNano / "nano-moe").string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}

PreparedTask prepared(const std::string& what, const PrepareOptions& options) {
  const auto spec = load_task(what);
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  auto task = prepare(*spec, options);
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  return std::move(*task);
}

// Words that are one token each, in the order of their ids, which is the order of the walk.
const std::string& word(std::size_t i) {
  static const std::vector<std::string> words = [] {
    std::map<int, std::string> by_id;
    const Json file = Json::parse(moe_test::read_file(kNano / "nano-moe/tokenizer.json"));
    for (const auto& [token, id] : file["model"]["vocab"].items())
      if (token.size() > 4 && token.starts_with("\u0120") &&
          std::all_of(token.begin() + 2, token.end(), [](char c) { return c >= 'a' && c <= 'z'; }))
        by_id[id.get<int>()] = token.substr(2);
    std::vector<std::string> out;
    for (const auto& [id, text] : by_id) out.push_back(text);
    return out;
  }();
  return words.at(i);
}

struct Nested {
  std::size_t depth = 0, others = 0;
  std::size_t tail = 1;  // words after each stem
};

// Stems of which each begins the next one, then `others` pairs with one first word each: all of these wait for their
// second words while the walk goes down the stems.
std::vector<std::string> nested_questions(const Nested& n) {
  std::vector<std::string> out;
  std::string stem, tail;
  for (std::size_t i = 1; i <= n.tail; ++i) tail += " " + word(n.others + i);
  for (std::size_t k = 0; k < n.depth; ++k) {
    stem += (k == 0 ? "" : " ") + word(0);
    out.push_back(stem + tail);
  }
  for (std::size_t i = 1; i <= n.others; ++i)
    for (const std::size_t second : {n.others + 1, n.others + 2}) out.push_back(word(i) + " " + word(second));
  return out;
}

void write_lines(const fs::path& path, const std::vector<Json>& lines) {
  std::ofstream out(path);
  for (const Json& line : lines) out << line.dump() << "\n";
}

// Five worked examples of each subject in front of every question: prefixes of some 500 tokens.
std::string write_shots_exam(const fs::path& folder) {
  std::vector<Json> lines;
  const std::vector<std::string> questions = nested_questions({.depth = 20, .others = 30});
  for (std::size_t subject = 0; subject < 2; ++subject) {
    const auto add = [&](const char* split, const std::string& question) {
      lines.push_back({{"split", split},
                       {"subject", "s" + std::to_string(subject)},
                       {"question", question},
                       {"choices", {"yes", "no"}},
                       {"answer", lines.size() % 2}});
    };
    for (std::size_t i = 0; i < 5; ++i) {
      std::string text = "An example";
      for (std::size_t k = 0; k < 90; ++k) text += " " + word((subject * 31 + i * 13 + k * k) % 160);
      add("dev", text);
    }
    for (const std::string& question : questions) add("test", question);
  }
  write_lines(folder / "shots.jsonl", lines);
  return (folder / "shots.jsonl").string();
}

std::string write_deep_exam(const fs::path& folder, const Nested& shape) {
  std::vector<Json> lines;
  for (const std::string& question : nested_questions(shape))
    lines.push_back({{"question", question}, {"choices", {"yes", "no"}}, {"answer", lines.size() % 2}});
  write_lines(folder / "deep.jsonl", lines);
  return (folder / "deep.jsonl").string();
}

// The same questions, with replies that outlive the prompts around them.
std::string write_reply_task(const fs::path& folder) {
  write_deep_exam(folder, {.depth = 110, .tail = 16});
  const Json task = {{"task", "replies"},      {"type", "generation"},       {"questions", "./deep.jsonl"},
                     {"prompt", "{question}"}, {"continuation", "{choice}"}, {"until", {"\n"}},
                     {"max_tokens", 20},       {"metrics", {"exact_match"}}};
  std::ofstream(folder / "replies.json") << task.dump();
  return (folder / "replies.json").string();
}

struct Exam {
  PreparedTask task;
  std::int64_t batch_tokens = 512;  // small ones have small caches
};

struct Run {
  std::map<std::string, std::string> samples;
  std::int64_t tokens = 0, steps = 0;
};

// Answers the task through the store. `on_step` comes after each step's transaction.
Run run(const Exam& exam, const std::shared_ptr<const moe::Model>& model, const fs::path& store_path,
        const std::function<void(std::int64_t step)>& on_step = {}) {
  auto store = RunStore::open(store_path.string());
  REQUIRE_MESSAGE(store.has_value(), store.error().message);
  auto scorer = SessionModel::create(model, {.batch_tokens = exam.batch_tokens});
  REQUIRE(scorer.has_value());
  StoredModel stored(**scorer, **store, {"hash", "", moe::Precision::automatic, moe::KvType::f16, 4, 1024, 1});
  Run result;
  EvaluateOptions options;
  options.bootstrap_count = 0;
  options.hooks.on_progress = [&](std::int64_t, std::int64_t) {
    if (on_step) on_step(result.steps);
    ++result.steps;
  };
  RunReport report;
  report.started = "now";
  report.tasks = {exam.task};
  ModelRun& row = report.models.emplace_back();
  row.name = "m";
  auto outcome = evaluate(exam.task, stored, options);
  REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
  row.outcomes.push_back(std::move(*outcome));
  const fs::path out = store_path.parent_path() / "out";
  fs::remove_all(out);
  REQUIRE(write_harness_files(report, row, out.string()).has_value());
  for (const auto& entry : fs::recursive_directory_iterator(out))
    if (entry.path().filename().string().starts_with("samples_"))
      result.samples[entry.path().filename().string()] = moe_test::read_file(entry.path());
  result.tokens = (*scorer)->executed().tokens;
  return result;
}

// The files as a process that is killed now would leave them.
void copy_store(const fs::path& from, const fs::path& to) {
  for (const char* tail : {"", "-wal"})
    if (fs::exists(from.string() + tail)) fs::copy_file(from.string() + tail, to.string() + tail);
}

// Kills one run at `kKills` steps and lets each of them go on.
void check_kills(const Exam& exam, const fs::path& folder) {
  const auto model = nano();
  const Run whole = run(exam, model, folder / "whole.db");
  REQUIRE(whole.steps > kKills + 2);
  std::set<std::int64_t> kills;
  for (std::int64_t k = 0; k < kKills; ++k) kills.insert(1 + k * (whole.steps - 2) / kKills);
  const auto path_of = [&](std::int64_t step) { return folder / ("killed" + std::to_string(step) + ".db"); };
  const Run again = run(exam, model, folder / "killed.db", [&](std::int64_t step) {
    if (kills.contains(step)) copy_store(folder / "killed.db", path_of(step));
  });
  CHECK(again.samples == whole.samples);
  for (const std::int64_t step : kills) {
    CAPTURE(step);
    const Run rest = run(exam, model, path_of(step));
    CHECK((rest.samples == whole.samples));
    CHECK(rest.tokens <= whole.tokens);
  }
  MESSAGE(kills.size() << " kills in " << whole.steps << " steps of " << whole.tokens << " tokens");
}

}  // namespace

TEST_CASE("killed anywhere, the nano exam goes on to the same bytes") {
  const Scratch scratch;
  check_kills({prepared((kNano / "nano_exam.jsonl").string(), {.limit = 200}), 64}, scratch.dir);
}

TEST_CASE("full: killed anywhere, the whole nano exam goes on to the same bytes" * doctest::skip()) {
  const Scratch scratch;
  check_kills({prepared((kNano / "nano_exam.jsonl").string(), {})}, scratch.dir);
}

TEST_CASE("killed anywhere, an exam with five worked examples per question goes on to the same bytes") {
  const Scratch scratch;
  check_kills({prepared(write_shots_exam(scratch.dir), {.num_fewshot = 5}), 32}, scratch.dir);
}

TEST_CASE("killed anywhere, an exam of nested stems goes on to the same bytes") {
  const Scratch scratch;
  check_kills({prepared(write_deep_exam(scratch.dir, {.depth = 60, .others = 150}), {})}, scratch.dir);
}

TEST_CASE("killed anywhere, replies to nested prompts go on to the same bytes") {
  const Scratch scratch;
  check_kills({prepared(write_reply_task(scratch.dir), {}), 16}, scratch.dir);
}

}  // namespace eval_resume_test

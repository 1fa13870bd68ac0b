// A run that is killed goes on, wherever it was killed: what is left of its prefix tree is another tree, and the cache
// has to suffice for that one too. The exams are those whose trees differ most.

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "moe/eval/report.hpp"
#include "moe/eval/session_model.hpp"
#include "moe/eval/store.hpp"
#include "support.hpp"

namespace fs = std::filesystem;
using Json = nlohmann::json;
using namespace moe::eval;

namespace {

const fs::path kNano = fs::path(MOE_SOURCE_DIR) / "models/nano";
constexpr std::int64_t kKills = 20;

/// A directory of this test alone, removed at the end.
struct Scratch {
  fs::path dir = fs::temp_directory_path() / ("moe_eval_resume_" + std::to_string(getpid()));
  Scratch() { fs::create_directory(dir); }
  ~Scratch() { fs::remove_all(dir); }
};

std::shared_ptr<const moe::Model> nano() {
  const auto model = moe::Model::load((kNano / "nano-moe").string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}

PreparedTask prepared(const std::string& what, const PrepareOptions& options) {
  const auto spec = find_task(what);
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  auto task = prepare(*spec, options);
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  return std::move(*task);
}

std::string word(int i) {
  static const char* const words[] = {"river", "stone", "green", "seven", "under", "paper", "light",
                                      "north", "apple", "chair", "music", "glass", "round"};
  return words[i % 13];
}

void write_lines(const fs::path& path, const std::vector<Json>& lines) {
  std::ofstream out(path);
  for (const Json& line : lines) out << line.dump() << "\n";
}

// Five worked examples of each subject in front of every question: prefixes of some 500 tokens.
std::string write_shots_exam(const fs::path& folder) {
  std::vector<Json> lines;
  for (int subject = 0; subject < 8; ++subject)
    for (int i = 0; i < 30; ++i) {
      std::string question = "In subject " + std::to_string(subject) + ", what comes after";
      for (int k = 0; k < 10 + i % 5; ++k) question += " " + word(subject * 5 + i * 3 + k * k);
      lines.push_back({{"split", i < 5 ? "dev" : "test"},
                       {"subject", "s" + std::to_string(subject)},
                       {"question", question + "?"},
                       {"choices", {word(i), word(i + 1) + " and " + word(i), word(i + 2), "none of these"}},
                       {"answer", i % 4}});
    }
  write_lines(folder / "shots.jsonl", lines);
  return (folder / "shots.jsonl").string();
}

// Every stem begins the next one, and many others leave it on the way. The answers share their beginnings, so that each
// question waits for them.
std::string write_deep_exam(const fs::path& folder) {
  std::vector<Json> lines;
  std::string stem = "We walk";
  for (int depth = 0; depth < 60; ++depth) {
    stem += " " + word(0);
    if (depth % 7 == 3) stem += " " + word(1) + " " + word(2) + " " + word(3);
    for (int leaf = 0; leaf < (depth % 6 == 0 ? 20 : 2); ++leaf)
      lines.push_back({{"question", stem + " " + word(leaf + 4) + (leaf > 8 ? " " + word(leaf) : "")},
                       {"choices", {"not yet", "not now", "not here", "not there"}},
                       {"answer", leaf % 4}});
  }
  for (int i = 0; i < 150; ++i)
    lines.push_back({{"question", word(i + 1) + " " + word(i / 13 + 2) + " " + std::to_string(i)},
                     {"choices", {"yes", "no"}},
                     {"answer", i % 2}});
  write_lines(folder / "deep.jsonl", lines);
  return (folder / "deep.jsonl").string();
}

// The same questions, with replies that outlive the prompts around them.
std::string write_reply_task(const fs::path& folder) {
  write_deep_exam(folder);
  const Json task = {{"task", "replies"},         {"type", "generation"},     {"questions", "./deep.jsonl"},
                     {"prompt", "{question}"},    {"continuation", "{choice}"}, {"until", {"\n"}},
                     {"max_tokens", 70},          {"metrics", {"exact_match"}}};
  std::ofstream(folder / "replies.json") << task.dump();
  return (folder / "replies.json").string();
}

struct Run {
  std::map<std::string, std::string> samples;
  std::int64_t tokens = 0, steps = 0;
};

// Answers the task through the store. `on_step` comes after each step's transaction.
Run run(const PreparedTask& task, const std::shared_ptr<const moe::Model>& model, const fs::path& store_path,
        const std::function<void(std::int64_t step)>& on_step = {}) {
  auto store = RunStore::open(store_path.string());
  REQUIRE_MESSAGE(store.has_value(), store.error().message);
  auto scorer = SessionModel::create(model, {});
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
  report.tasks = {task};
  ModelRun& row = report.models.emplace_back();
  row.name = "m";
  auto outcome = evaluate(task, stored, options);
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
void check_kills(const PreparedTask& task) {
  const Scratch scratch;
  const auto model = nano();
  const Run whole = run(task, model, scratch.dir / "whole.db");
  REQUIRE(whole.steps > kKills + 2);
  std::set<std::int64_t> kills;
  for (std::int64_t k = 0; k < kKills; ++k) kills.insert(1 + k * (whole.steps - 2) / kKills);
  const auto path_of = [&](std::int64_t step) { return scratch.dir / ("killed" + std::to_string(step) + ".db"); };
  const Run again = run(task, model, scratch.dir / "killed.db", [&](std::int64_t step) {
    if (kills.contains(step)) copy_store(scratch.dir / "killed.db", path_of(step));
  });
  CHECK(again.samples == whole.samples);
  for (const std::int64_t step : kills) {
    CAPTURE(step);
    const Run rest = run(task, model, path_of(step));
    CHECK((rest.samples == whole.samples));
    CHECK(rest.tokens <= whole.tokens);
  }
  MESSAGE(kills.size() << " kills in " << whole.steps << " steps of " << whole.tokens << " tokens");
}

}  // namespace

TEST_CASE("killed anywhere, the nano exam goes on to the same bytes") {
  // A third of it, all in the full set.
  const bool full = std::getenv("MOE_TEST_FULL") != nullptr;
  check_kills(prepared((kNano / "nano_exam.jsonl").string(), {.limit = full ? 0.0 : 700.0}));
}

TEST_CASE("killed anywhere, an exam with five worked examples per question goes on to the same bytes") {
  const Scratch scratch;
  check_kills(prepared(write_shots_exam(scratch.dir), {.num_fewshot = 5}));
}

TEST_CASE("killed anywhere, an exam of nested stems goes on to the same bytes") {
  const Scratch scratch;
  check_kills(prepared(write_deep_exam(scratch.dir), {}));
}

TEST_CASE("killed anywhere, replies to nested prompts go on to the same bytes") {
  const Scratch scratch;
  check_kills(prepared(write_reply_task(scratch.dir), {}));
}

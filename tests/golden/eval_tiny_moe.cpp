// A random Qwen3-MoE with the harness's own log-likelihoods: token pairs, truncation, passes, sharing.
// MOE_TINY_MOE_DIR, MOE_DATA_DIR.

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "moe/eval/evaluate.hpp"
#include "moe/eval/session_model.hpp"
#include "support.hpp"

namespace eval_tiny_moe_test {

using Json = nlohmann::json;
using namespace moe::eval;

namespace {

std::vector<Score> score(const std::shared_ptr<const moe::Model>& model, const std::vector<ScoreRequest>& requests,
                         const SessionModelOptions& options) {
  auto scorer = SessionModel::create(model, options);
  REQUIRE_MESSAGE(scorer.has_value(), scorer.error().message);
  auto scores = (*scorer)->score(requests, {});
  REQUIRE_MESSAGE(scores.has_value(), scores.error().message);
  return *scores;
}

std::shared_ptr<const moe::Model> load(const std::filesystem::path& folder) {
  const auto model = moe::Model::load(folder.string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}

// Subtasks by name, prepared when first asked for.
class Tasks {
 public:
  explicit Tasks(std::filesystem::path data) : data_(std::move(data)) {}
  /// Null when no built-in task has that subtask.
  const Subtask* find(const std::string& name, std::int64_t shots, const TaskSpec*& spec) {
    for (const std::string& task : builtin_task_names()) {
      if (!name.starts_with(task)) continue;
      const std::string key = task + "/" + std::to_string(shots);
      if (!prepared_.contains(key)) {
        auto made = prepare(*load_task(task), {.data_dir = data_.string(), .num_fewshot = shots, .limit = 40});
        REQUIRE_MESSAGE(made.has_value(), made.error().message);
        prepared_.emplace(key, std::move(*made));
      }
      for (const Subtask& subtask : prepared_.at(key).subtasks)
        if (subtask.name == name) {
          spec = &prepared_.at(key).spec;
          return &subtask;
        }
    }
    return nullptr;
  }

 private:
  std::filesystem::path data_;
  std::map<std::string, PreparedTask> prepared_;
};

}  // namespace

namespace {

struct ExpectedRow {
  Json json;  // the harness's scores
  const Document* document = nullptr;
  const TaskSpec* spec = nullptr;
};
struct Expected {
  std::vector<ExpectedRow> rows;
  std::vector<ScoreRequest> requests;  // of all rows, one after another
};

Expected read_expected(const std::filesystem::path& folder, Tasks& tasks) {
  Expected out;
  for (const std::string& line : moe_test::read_lines(folder / "expected_bs1_float32.jsonl")) {
    Json row = Json::parse(line);
    const TaskSpec* spec = nullptr;
    const Subtask* subtask = tasks.find(row["t"].get<std::string>(), row["k"].get<std::int64_t>(), spec);
    if (subtask == nullptr) {
      moe_test::report_skip(row["t"].get<std::string>(), "no such task");
      continue;
    }
    const Document& document = subtask->documents.at(row["d"].get<std::size_t>());
    // The texts stand in the first rows of each task only.
    if (row["ctx"].is_string()) {
      CHECK(row["ctx"] == document.contexts[0]);
      CHECK(row["conts"] == Json(document.continuations));
    }
    REQUIRE(row["ll"].size() == document.continuations.size());
    for (std::size_t i = 0; i < document.continuations.size(); ++i)
      out.requests.push_back({document.context_of(i), document.continuations[i], document.question.id});
    out.rows.push_back({std::move(row), &document, spec});
  }
  REQUIRE(!out.rows.empty());
  return out;
}

struct Compared {
  double worst = 0;          // largest |delta| / tolerance
  bool is_decision = false;  // the best answer is ahead by more than the tolerance, and so the same
};

Compared compare(const ExpectedRow& row, std::span<const Score> scores) {
  CAPTURE(row.json["t"].get<std::string>());
  CAPTURE(row.json["d"].get<int>());
  const auto reference = row.json["ll"].get<std::vector<double>>();
  Compared out;
  double best = -1e300, second = -1e300, tolerance = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double allowed = 1e-3 + 1e-5 * std::abs(reference[i]);
    const double delta = std::abs(scores[i].log_likelihood - reference[i]);
    out.worst = std::max(out.worst, delta / allowed);
    CHECK(delta <= allowed);
    CHECK(scores[i].is_greedy == row.json["greedy"][i].get<bool>());
    tolerance = std::max(tolerance, allowed);
    second = std::max(second, std::min(best, reference[i]));
    best = std::max(best, reference[i]);
  }
  const auto outcome = score_document(*row.spec, *row.document, {scores.begin(), scores.end()});
  REQUIRE(outcome.has_value());
  out.is_decision = reference.size() == 1 || best - second > 2 * tolerance;
  if (!out.is_decision) return out;
  const std::size_t at = column_of(row.spec->metrics, Metric::acc);
  CHECK(outcome->metrics[at] == row.json["m"]["acc"].get<double>());
  return out;
}

}  // namespace

TEST_CASE("tiny random MoE: the harness's log-likelihoods, decisions and metrics") {
  const auto folder = moe_test::reference_dir("MOE_TINY_MOE_DIR", "../shared/data/tiny_moe");
  const auto data = moe_test::reference_dir("MOE_DATA_DIR", "../shared/data");
  if (folder.empty() || data.empty()) return moe_test::report_skip("tiny_moe", "no reference directory");
  const auto model = load(folder);
  Tasks tasks(data);
  const Expected expected = read_expected(folder, tasks);
  SessionModelOptions options;
  options.precision = moe::Precision::reference;
  options.kv = moe::KvType::f32;
  options.threads = moe::openmp_pool(2);
  const auto scores = score(model, expected.requests, options);
  std::size_t next = 0, truncated = 0, compared = 0;
  double worst = 0;
  for (const ExpectedRow& row : expected.rows) {
    const std::size_t count = row.json["ll"].size();
    const Compared result = compare(row, std::span(scores).subspan(next, count));
    truncated += scores[next].truncated;
    compared += result.is_decision;
    worst = std::max(worst, result.worst);
    next += count;
  }
  MESSAGE(expected.rows.size() << " documents, " << truncated << " cut from the left, " << compared
                               << " decisions compared, largest |delta| / tolerance " << worst);
  CHECK(truncated > 0);
}

TEST_CASE("scores have the same bits for any batch, cache, thread count and sharing") {
  const auto folder = moe_test::reference_dir("MOE_TINY_MOE_DIR", "../shared/data/tiny_moe");
  if (folder.empty()) return moe_test::report_skip("tiny_moe", "no reference directory");
  const auto model = load(folder);
  std::vector<std::string> contexts, continuations = {" A", " B", " a longer answer", " a longer reply of words", " B"};
  for (int i = 0; i < 5; ++i) {
    std::string text = "The following are questions.\n\n";
    for (int k = 0; k <= i % 4; ++k)
      text +=
          "Question: what is " + std::to_string(k * 7) + " plus one?\nAnswer: " + std::to_string(k * 7 + 1) + "\n\n";
    contexts.push_back(text + "Question: number " + std::to_string(i) + "?\nAnswer:");
  }
  std::vector<ScoreRequest> requests;
  for (const std::string& context : contexts)
    for (const std::string& continuation : continuations) requests.push_back({context, continuation, "q"});
  for (auto [precision, kv] : {std::pair{moe::Precision::automatic, moe::KvType::f16},
                               {moe::Precision::automatic, moe::KvType::q8_0},
                               {moe::Precision::reference, moe::KvType::f32}}) {
    SessionModelOptions base;
    base.precision = precision, base.kv = kv;
    const auto expected = score(model, requests, base);
    for (std::int64_t batch : {1, 7, 4096})
      for (std::int64_t cache : {std::int64_t{1}, std::int64_t{64} << 20})
        for (bool share : {false, true}) {
          SessionModelOptions options = base;
          options.batch_tokens = batch, options.cache_bytes = cache, options.share_prefixes = share;
          options.threads = moe::openmp_pool(1 + static_cast<std::int32_t>(batch % 3));
          const auto got = score(model, requests, options);
          CAPTURE(batch);
          CAPTURE(share);
          for (std::size_t i = 0; i < got.size(); ++i) {
            CHECK(std::memcmp(&got[i].log_likelihood, &expected[i].log_likelihood, sizeof(double)) == 0);
            CHECK(got[i].is_greedy == expected[i].is_greedy);
          }
        }
  }
}

TEST_CASE("work: what ran is the tree's tokens, what is charged is a pass per distinct context and answer") {
  const auto folder = moe_test::reference_dir("MOE_TINY_MOE_DIR", "../shared/data/tiny_moe");
  if (folder.empty()) return moe_test::report_skip("tiny_moe", "no reference directory");
  const auto model = load(folder);
  auto scorer = SessionModel::create(model);
  REQUIRE(scorer.has_value());
  const std::string context = "Question: which letter?\nAnswer:";
  const std::vector<ScoreRequest> letters = {{context, " A", "q"}, {context, " B", "q"}, {context, " C", "q"}};
  const auto scores = (*scorer)->score(letters, {});
  REQUIRE(scores.has_value());
  // Letters are single tokens: one pass, one row, however many choices.
  CHECK((*scores)[0].pass == (*scores)[2].pass);
  CHECK((*scores)[0].pass_tokens == (*scores)[0].context_tokens);
  CHECK((*scorer)->executed() ==
        moe::forward_work(model->config(), 0, (*scores)[0].pass_tokens, 1, moe::MlaForm::absorbed));
  CHECK((*scorer)->executed().tokens == (*scores)[0].context_tokens);
}

TEST_CASE("an answer longer than the context has no score; cancelling stops") {
  const auto folder = moe_test::reference_dir("MOE_TINY_MOE_DIR", "../shared/data/tiny_moe");
  if (folder.empty()) return moe_test::report_skip("tiny_moe", "no reference directory");
  const auto model = load(folder);
  auto scorer = SessionModel::create(model);
  REQUIRE(scorer.has_value());
  std::string words;
  for (int i = 0; i < 500; ++i) words += " zebra" + std::to_string(i);
  const std::vector<ScoreRequest> too_long = {{"Question:", words, "long/1"}};
  const auto refused = (*scorer)->score(too_long, {});
  REQUIRE(refused.has_value());
  CHECK((*refused)[0].failure == Failure::too_long);
  CHECK(std::isnan((*refused)[0].log_likelihood));
  // A long prompt is cut instead, and says so.
  const std::vector<ScoreRequest> long_prompt = {{words, " A", "q"}};
  const auto cut = (*scorer)->score(long_prompt, {});
  REQUIRE(cut.has_value());
  CHECK((*cut)[0].truncated);
  CHECK((*cut)[0].pass_tokens == 384);
  Hooks hooks;
  hooks.cancelled = [] { return true; };
  const auto cancelled = (*scorer)->score(long_prompt, hooks);
  REQUIRE_FALSE(cancelled.has_value());
  CHECK(cancelled.error().code == moe::ErrorCode::cancelled);
}

}  // namespace eval_tiny_moe_test

// moe-eval search: what it asks, what it chooses, and that the verdict's questions are never searched.

#include "bench/search_command.hpp"

#include <map>
#include <set>

#include "support.hpp"

namespace {

namespace eval = moe::eval;
using search_command::Search;

constexpr int kClusters = 30, kSingles = 20;

// Clusters of two questions in two subtasks, and questions of their own.
eval::PreparedTask exam() {
  eval::PreparedTask task;
  task.spec.name = "exam";
  task.spec.metrics = {{eval::Metric::acc}};
  task.subtasks.resize(2);
  for (int i = 0; i < 2 * kClusters + kSingles; ++i) {
    eval::Document document;
    document.question.id = std::to_string(i / 2);  // the same in both subtasks
    if (i < 2 * kClusters) document.cluster = "text " + std::to_string(i / 2);
    eval::Subtask& subtask = task.subtasks[static_cast<std::size_t>(i % 2)];
    subtask.name = i % 2 == 0 ? "even" : "odd";
    subtask.documents.push_back(std::move(document));
  }
  return task;
}

std::multiset<std::string> questions_of(const eval::PreparedTask& task) {
  std::multiset<std::string> out;
  for (const eval::Subtask& subtask : task.subtasks)
    for (const eval::Document& d : subtask.documents) out.insert(subtask.name + " " + d.question.id);
  return out;
}

std::shared_ptr<const moe::Model> nano() {
  const auto model = moe::Model::load(std::string(MOE_SOURCE_DIR) + "/models/nano/nano-moe");
  if (!model) FAIL(model.error().message);
  return *model;
}

}  // namespace

TEST_CASE("halves: all questions once, whole clusters, drawn by the seed") {
  const eval::PreparedTask task = exam();
  std::set<std::multiset<std::string>> seen;
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    const auto halves = search_command::split({task}, seed);
    REQUIRE(halves.has_value());
    REQUIRE(halves->search.size() == 1);
    REQUIRE(halves->verdict.size() == 1);
    const auto a = questions_of(halves->search[0]), b = questions_of(halves->verdict[0]);
    seen.insert(a);
    CHECK(std::abs(static_cast<int>(a.size()) - static_cast<int>(b.size())) <= 2);
    std::multiset<std::string> both = a;
    both.insert(b.begin(), b.end());
    CHECK(both == questions_of(task));
    std::set<std::string> clusters;
    for (const eval::Subtask& s : halves->search[0].subtasks)
      for (const eval::Document& d : s.documents) clusters.insert(d.cluster);
    clusters.erase("");
    for (const eval::Subtask& s : halves->verdict[0].subtasks)
      for (const eval::Document& d : s.documents) CHECK(clusters.count(d.cluster) == 0);
    const auto again = search_command::split({task}, seed);
    CHECK(questions_of(again->search[0]) == a);
  }
  CHECK(seen.size() == 3);
  eval::PreparedTask one = exam();
  one.subtasks.resize(1);
  one.subtasks[0].documents.resize(1);
  CHECK(search_command::split({one}, 1).error().code == moe::ErrorCode::bad_argument);
}

TEST_CASE("greedy: an expert goes where it costs nothing; the other half is asked for the verdict alone") {
  std::vector<std::pair<std::vector<std::int64_t>, std::multiset<std::string>>> calls;
  Search search;
  search.name = "m", search.model = nano(), search.tasks = {exam()}, search.budget = 0.7, search.seed = 5;
  search.ask = [&](const std::shared_ptr<const moe::Model>& model, const eval::PreparedTask& task,
                   const std::string&) -> moe::Result<eval::TaskOutcome> {
    const std::int64_t first = model->config().moe_layer_top_k(0), second = model->config().moe_layer_top_k(1);
    calls.push_back({{first, second}, questions_of(task)});
    eval::TaskOutcome outcome;
    for (const eval::Subtask& subtask : task.subtasks) {
      outcome.documents.emplace_back(subtask.documents.size());
      for (std::size_t d = 0; d < subtask.documents.size(); ++d) {  // experts of the first layer matter
        outcome.documents.back()[d].metrics = {first == 4 ? 1.0 : 0.0};
        outcome.model_flops += first + second;
      }
    }
    return outcome;
  };
  REQUIRE(search_command::run(search).has_value());
  // 8 experts, at most 5.6: the second layer gives three.
  using TopK = std::vector<std::int64_t>;
  const std::vector<TopK> expected = {{4, 4}, {3, 4}, {4, 3}, {3, 3}, {4, 2}, {3, 2}, {4, 1}, {4, 4}, {4, 1}};
  REQUIRE(calls.size() == expected.size());
  const auto halves = search_command::split(search.tasks, search.seed);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    CHECK(calls[i].first == expected[i]);
    const bool is_verdict = i + 2 >= calls.size();
    CHECK(calls[i].second == questions_of(is_verdict ? halves->verdict[0] : halves->search[0]));
  }
}

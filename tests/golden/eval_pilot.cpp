// Trained nano models and their exam: log-likelihoods, accuracies and the gap between them (MOE_PILOT_DIR).

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "golden/exam.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/session_model.hpp"
#include "support.hpp"

namespace eval_pilot_test {

using Json = nlohmann::json;
using namespace moe::eval;
using moe_test::answer;

namespace {

struct Reference {
  std::unordered_map<std::string, Json> rows;
  std::int64_t right = 0;
};

Reference read_reference(const std::filesystem::path& file) {
  Reference out;
  for (const std::string& line : moe_test::read_lines(file)) {
    Json row = Json::parse(line);
    out.right += row["pred"] == row["gold"];
    std::string id = row["id"].get<std::string>();
    out.rows.emplace(std::move(id), std::move(row));
  }
  return out;
}

// Log-likelihoods against the reference; the share outside 1e-4 may come from routing ties alone.
void compare(const PreparedTask& task, const TaskOutcome& outcome, const Reference& reference) {
  std::size_t outside = 0, count = 0;
  double worst = 0;
  for (std::size_t d = 0; d < task.subtasks[0].documents.size(); ++d) {
    const Document& document = task.subtasks[0].documents[d];
    const auto found = reference.rows.find(document.question.id);
    REQUIRE(found != reference.rows.end());
    for (std::size_t i = 0; i < document.continuations.size(); ++i, ++count) {
      const Score& score = outcome.documents[0][d].scores[i];
      const double delta = std::abs(score.log_likelihood - found->second["ll"][i].get<double>());
      worst = std::max(worst, delta);
      if (delta > 1e-4 && ++outside < 10)
        MESSAGE("outside: " << document.question.id << " choice " << i << " by " << delta);
      CHECK(static_cast<std::size_t>(score.context_tokens) == found->second["ctx_tok"].size());
      CHECK(static_cast<std::size_t>(score.continuation_tokens) == found->second["cont_tok"][i].size());
    }
  }
  std::int64_t right = 0;
  for (const DocumentOutcome& d : outcome.documents[0]) right += d.metrics[0] == 1;
  MESSAGE(count << " log-likelihoods, " << outside << " outside 1e-4, largest |delta| " << worst << "; " << right
                << " right, reference " << reference.right);
  CHECK(static_cast<double>(outside) <= 0.005 * static_cast<double>(count));
  CHECK(std::abs(right - reference.right) <= 2);
}

}  // namespace

TEST_CASE("trained nano models answer their exam as the reference does") {
  const auto folder = moe_test::reference_dir("MOE_PILOT_DIR", "../shared/pilot");
  if (folder.empty()) return moe_test::report_skip("pilot", "no reference directory");
  const auto spec = load_task((folder / "exam.jsonl").string());
  REQUIRE(spec.has_value());
  RunReport report;
  report.tasks.push_back(*prepare(*spec, {}));
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().filename().string().ends_with(".reference.jsonl.gz")) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  CHECK(!files.empty());
  for (const auto& file : files) {
    const std::string name = file.filename().string().substr(0, file.filename().string().find('.'));
    CAPTURE(name);
    const auto model = moe::Model::load((folder / name).string());
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    ModelRun run;
    run.name = name;
    run.info = (*model)->info();
    run.outcomes.push_back(answer(report.tasks[0], *model, moe::Precision::reference));
    compare(report.tasks[0], run.outcomes[0], read_reference(file));
    CHECK(run.outcomes[0].model_flops > 0);
    CHECK(run.outcomes[0].executed.tokens < run.outcomes[0].pass_tokens);
    report.models.push_back(std::move(run));
  }
  for (const Comparison& c : compare_models(report)) {
    MESSAGE(report.models[c.a].name << " - " << report.models[c.b].name << ": " << 100 * c.gap.gap << " +- "
                                    << 100 * c.gap.standard_error.value_or(0) << " points, p " << c.adjusted_p);
    CHECK(c.distinguishable());
  }
  MESSAGE("\n" << render_tables(report));
}

TEST_CASE("accuracy over experts per token has its maximum near the trained number") {
  const auto folder = moe_test::reference_dir("MOE_PILOT_DIR", "../shared/pilot");
  if (folder.empty()) return moe_test::report_skip("pilot", "no reference directory");
  if (std::getenv("MOE_TEST_FULL") == nullptr)
    return moe_test::report_skip("accuracy against top_k", "MOE_TEST_FULL is not set");
  const auto task = prepare(*load_task((folder / "exam.jsonl").string()), {});
  std::size_t compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!std::filesystem::exists(entry.path() / "config.json")) continue;
    const auto model = moe::Model::load(entry.path().string());
    REQUIRE(model.has_value());
    const std::int64_t trained = (*model)->config().router.top_k;
    // A twin without a routed layer has no such curve.
    bool routed = false;
    for (std::int64_t l = 0; l < (*model)->config().layer_count; ++l)
      routed = routed || (*model)->config().layer_is_moe(l);
    if (!routed) continue;
    double best = 0, at_trained = 0, last_flops = 0;
    for (std::int64_t k : {1, 2, 3, 4, 6, 8}) {
      const auto changed = (*model)->with_top_k(k);
      REQUIRE(changed.has_value());
      const TaskOutcome outcome = answer(*task, *changed, moe::Precision::automatic);
      const double accuracy = accuracy_of(*task, outcome).value;
      MESSAGE("top_k " << k << ": " << 100 * accuracy << " %, "
                       << static_cast<double>(outcome.model_flops) / static_cast<double>(task->question_count())
                       << " FLOPs per question");
      CHECK(static_cast<double>(outcome.model_flops) > last_flops);
      last_flops = static_cast<double>(outcome.model_flops);
      best = std::max(best, accuracy);
      if (k == trained) at_trained = accuracy;
    }
    CHECK(at_trained >= best - 0.01);
    ++compared;
  }
  moe_test::check_any_case(compared, "MOE_PILOT_DIR", "models with experts");
}

}  // namespace eval_pilot_test

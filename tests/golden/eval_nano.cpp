// The shipped nano models on their exam: the scores of the framework that trained them, the gap to the dense twins, the
// load of the experts, and an exam that cannot be answered from the choices alone. tests/data/nano holds the
// framework's scores.

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "golden/exam.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/session_model.hpp"
#include "moe/quantize.hpp"
#include "moe/router_statistics.hpp"
#include "support.hpp"

namespace eval_nano_test {

using Json = nlohmann::json;
using namespace moe::eval;
using moe_test::answer;

namespace {

const std::filesystem::path models = std::filesystem::path(MOE_SOURCE_DIR) / "models/nano";
const std::filesystem::path references = std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/nano";

TaskSpec exam_spec() {
  auto spec = load_task((models / "nano_exam.jsonl").string());
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  return std::move(*spec);
}

PreparedTask prepared(const TaskSpec& spec) {
  auto task = prepare(spec, {});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  return std::move(*task);
}

std::shared_ptr<const moe::Model> load(const std::string& name) {
  const auto model = moe::Model::load((models / name).string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}

std::vector<std::string> reference_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(references))
    if (entry.path().extension() == ".jsonl") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::size_t best_of(const std::vector<double>& scores) {
  return static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

// The share of questions that are answered as the framework answers them.
void compare_with_framework(const PreparedTask& task, const TaskOutcome& outcome, const std::string& name) {
  std::map<std::string, std::vector<double>> expected;
  for (const std::string& line : moe_test::read_lines(references / (name + ".jsonl"))) {
    const Json row = Json::parse(line);
    expected[row["id"].get<std::string>()] = row["ll"].get<std::vector<double>>();
  }
  std::size_t questions = 0, same = 0;
  double worst = 0;
  for (std::size_t s = 0; s < task.subtasks.size(); ++s) {
    for (std::size_t d = 0; d < task.subtasks[s].documents.size(); ++d, ++questions) {
      const auto found = expected.find(task.subtasks[s].documents[d].question.id);
      REQUIRE(found != expected.end());
      std::vector<double> ours;
      for (const Score& score : outcome.documents[s][d].scores) ours.push_back(score.log_likelihood);
      REQUIRE(ours.size() == found->second.size());
      for (std::size_t i = 0; i < ours.size(); ++i) worst = std::max(worst, std::abs(ours[i] - found->second[i]));
      same += best_of(ours) == best_of(found->second);
    }
  }
  MESSAGE(name << ": " << same << " of " << questions << " questions answered as the framework does, largest |delta| "
               << worst);
  CHECK(questions == expected.size());
  CHECK(static_cast<double>(same) >= 0.999 * static_cast<double>(questions));
}

// Counts of each routed layer over the texts.
std::map<std::size_t, std::vector<std::int64_t>> expert_load(const std::vector<std::string>& texts,
                                                             const moe::Model& model, moe::Session& session) {
  std::map<std::size_t, std::vector<std::int64_t>> counts;
  for (const std::string& text : texts) {
    const auto ids = model.tokenizer()->encode(text);
    REQUIRE(ids.has_value());
    const auto sequence = session.open();
    REQUIRE(sequence.has_value());
    const moe::BatchItem item{*sequence, *ids, moe::Logits::none};
    REQUIRE(session.step({&item, 1}).has_value());
    for (std::size_t layer = 0; layer < session.routing().size(); ++layer) {
      for (const moe::TokenRouting& token : session.routing()[layer]) {
        auto& count = counts[layer];
        count.resize(static_cast<std::size_t>(model.config().router.expert_count));
        REQUIRE(moe::count_load(token.experts, count).has_value());
      }
    }
    REQUIRE(session.close(*sequence).has_value());
  }
  return counts;
}

}  // namespace

TEST_CASE("nano models answer the exam as the framework that trained them") {
  RunReport report;
  report.tasks.push_back(prepared(exam_spec()));
  const std::vector<std::string> names = reference_names();
  REQUIRE(names.size() >= 3);
  for (const std::string& name : names) {
    const auto model = load(name);
    ModelRun run;
    run.name = name;
    run.info = model->info();
    run.outcomes.push_back(answer(report.tasks[0], model, moe::Precision::reference));
    compare_with_framework(report.tasks[0], run.outcomes[0], name);
    report.models.push_back(std::move(run));
  }
  // The claim of the README.
  bool found = false;
  for (const Comparison& c : compare_models(report)) {
    const std::string pair = report.models[c.a].name + " - " + report.models[c.b].name;
    MESSAGE(pair << ": " << 100 * c.gap.gap << " +- " << 100 * c.gap.standard_error.value_or(0) << " points, p "
                 << c.adjusted_p);
    const bool flops = pair.find("nano-moe") != std::string::npos && pair.find("flops") != std::string::npos;
    if (!flops) continue;
    found = true;
    CHECK((c.gap.gap > 0) == (report.models[c.a].name == "nano-moe"));
    CHECK(c.adjusted_p < 0.001);
  }
  CHECK(found);
}

TEST_CASE("the choices alone do not give the nano exam away") {
  TaskSpec spec = exam_spec();
  spec.prompt = "Answer:";
  const PreparedTask blind = prepared(spec);
  const TaskOutcome outcome = answer(blind, load("nano-moe"), moe::Precision::automatic);
  const double accuracy = accuracy_of(blind, outcome).value;
  MESSAGE("without the question: " << 100 * accuracy << " %");
  // Four standard errors of guessing.
  CHECK(std::abs(accuracy - 0.25) < 4 * std::sqrt(0.25 * 0.75 / static_cast<double>(blind.question_count())));
}

TEST_CASE("eight bits cost nano-moe little that the exam can see, four bits a few points") {
  RunReport report;
  report.tasks.push_back(prepared(exam_spec()));
  report.baseline = "bf16";
  const auto add = [&](const std::string& name, const std::shared_ptr<const moe::Model>& model) {
    ModelRun run;
    run.name = name;
    run.info = model->info();
    run.outcomes.push_back(answer(report.tasks[0], model, moe::Precision::automatic));
    report.models.push_back(std::move(run));
  };
  add("bf16", load("nano-moe"));
  // Points that each may lose: what these weights lost when they were made (0.37 +- 0.25 and 4.06 +- 0.66) and three
  // standard errors. They hold 96 kbit of facts in a megabyte and a half, so four bits do cost something.
  const std::map<std::string, std::pair<moe::Format, double>> formats = {{"q8_0", {moe::Format::q8_0, 1.1}},
                                                                         {"q4_0", {moe::Format::q4_0, 6.0}}};
  for (const auto& [name, format] : formats) {
    const auto file = std::filesystem::temp_directory_path() / ("libmoe_nano_" + name + ".gguf");
    moe::QuantizeOptions options;
    options.type = format.first;
    options.replace = true;
    const auto written = moe::quantize((models / "nano-moe").string(), file.string(), options);
    REQUIRE_MESSAGE(written.has_value(), written.error().message);
    const auto model = moe::Model::load(file.string());
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    add(name, *model);
    std::filesystem::remove(file);
  }
  for (const Comparison& c : compare_models(report)) {
    const std::string& name = report.models[c.a].name == "bf16" ? report.models[c.b].name : report.models[c.a].name;
    MESSAGE(report.models[c.a].name << " - " << report.models[c.b].name << ": " << 100 * c.gap.gap << " +- "
                                    << 100 * c.gap.standard_error.value_or(0) << " points");
    CHECK(100 * std::abs(c.gap.gap) < formats.at(name).second);
  }
}

TEST_CASE("no expert of nano-moe is idle or overloaded on texts like those of its training") {
  std::vector<std::string> texts;
  for (const std::string& line : moe_test::read_lines(references / "sample.txt"))
    texts.push_back(Json::parse(line).get<std::string>());
  REQUIRE(texts.size() >= 32);
  const auto model = load("nano-moe");
  auto session = moe::Session::create(model, {.record_routing = true});
  REQUIRE_MESSAGE(session.has_value(), session.error().message);
  const auto load_of_layers = expert_load(texts, *model, **session);
  REQUIRE(!load_of_layers.empty());
  for (const auto& [layer, counts] : load_of_layers) {
    const moe::LoadStatistics load = moe::load_statistics(counts);
    MESSAGE("layer " << layer << ": " << load.assignments << " assignments, max/mean " << load.max_over_mean
                     << ", idle " << load.idle_experts << ", normalised entropy " << load.normalized_entropy);
    CHECK(load.idle_experts == 0);
    CHECK(load.max_over_mean < 2);
  }
}

}  // namespace eval_nano_test

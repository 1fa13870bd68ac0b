// Small questions of our own as the reference harness asks and counts them (tests/data/harness/make_cases.py): metrics,
// few-shot rules, system instruction, answers with a given beginning, whole texts.

#include <cmath>
#include <nlohmann/json.hpp>

#include "moe/eval/report.hpp"
#include "scratch_dir.hpp"
#include "unit/fake_model.hpp"

namespace eval_small_cases_test {

using Json = nlohmann::json;
using namespace moe::eval;

namespace {

const std::filesystem::path kFolder = std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/harness";

bool close(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(1.0, std::abs(b)); }

// The sample lines that moe-eval writes for the one subtask of a run.
std::vector<Json> written_samples(const PreparedTask& task, const TaskOutcome& outcome) {
  const moe_test::ScratchDir scratch("moe_cases");
  RunReport report;
  report.started = "now";
  report.tasks = {task};
  ModelRun run;
  run.name = "m";
  run.outcomes = {outcome};
  REQUIRE(write_harness_files(report, run, scratch.dir.string()).has_value());
  std::vector<Json> lines;
  for (const std::string& line : moe_test::read_lines(scratch.dir / "m" / ("samples_" + task.spec.name + "_now.jsonl")))
    lines.push_back(Json::parse(line));
  return lines;
}

// What a sample line says was asked: texts, and of replies the stop texts.
Json arguments_of(const Json& line) {
  Json out = Json::array();
  for (std::size_t i = 0; i < line["arguments"].size(); ++i) {
    const Json& args = line["arguments"]["gen_args_" + std::to_string(i)];
    out.push_back(Json::array());
    for (std::size_t j = 0; j < args.size(); ++j) {
      const Json& arg = args["arg_" + std::to_string(j)];
      out.back().push_back(arg.is_object() ? arg["until"] : arg);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("small cases: prompts, metrics and results are the reference harness's") {
  const Json file = Json::parse(moe_test::read_file(kFolder / "cases.json"));
  const auto replies = file["replies"].get<std::vector<std::string>>();
  moe_test::FakeModel model;
  model.reply_to = [&](std::string_view context) { return replies[moe::sha256(context)[0] & 3]; };
  REQUIRE(file["cases"].size() >= 12);
  for (const Json& expected : file["cases"]) {
    CAPTURE(expected["task"].get<std::string>());
    CAPTURE(expected["num_fewshot"].get<int>());
    const auto spec = load_task((kFolder / expected["task"].get<std::string>()).string());
    REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
    PrepareOptions options;
    options.num_fewshot = expected["num_fewshot"].get<std::int64_t>();
    options.system_instruction = expected["system_instruction"].get<std::string>();
    const auto task = prepare(*spec, options);
    REQUIRE_MESSAGE(task.has_value(), task.error().message);
    const auto outcome = evaluate(*task, model, {.bootstrap_count = 1000, .threads = {}, .hooks = {}});
    REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
    for (std::size_t m = 0; m < spec->metrics.size(); ++m) {
      const MetricValue& value = outcome->overall.metrics[m];
      CAPTURE(spec->metrics[m].key());
      CHECK(close(value.value, expected["results"].at(spec->metrics[m].key()).get<double>()));
      const Json& error = expected["results"].at(spec->metrics[m].key("_stderr"));
      CHECK(value.standard_error.has_value() == error.is_number());
      if (error.is_number()) CHECK(close(value.standard_error.value_or(-1), error.get<double>()));
    }
    CHECK(expected["results"].size() == 2 * spec->metrics.size());
    const auto lines = written_samples(*task, *outcome);
    REQUIRE(lines.size() == expected["samples"].size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const Json& sample = expected["samples"][i];
      CAPTURE(i);
      CHECK(arguments_of(lines[i]) == sample["arguments"]);
      CHECK(lines[i]["filter"] == sample["filter"]);
      if (!sample["filtered"].is_null()) CHECK(lines[i]["filtered_resps"] == sample["filtered"]);
      for (const auto& [metric, value] : sample["metrics"].items())
        if (value.is_number()) CHECK(lines[i].at(metric).get<double>() == value.get<double>());
      CHECK(lines[i]["target"] == sample["target"]);
    }
  }
}

}  // namespace eval_small_cases_test

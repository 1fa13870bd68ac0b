// The reference harness, asked through a scripted fake model: log-likelihood and greediness come from SHA-256 of the
// strings, replies are looked up by the SHA-256 of the prompt, so one wrong byte in a prompt changes the score (MOE_EVAL_GOLDEN_DIR, MOE_DATA_DIR).

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "moe/eval/report.hpp"
#include "scratch_dir.hpp"
#include "support/sha256.hpp"
#include "unit/fake_model.hpp"

namespace eval_harness_test {

using Json = nlohmann::json;
using namespace moe::eval;

namespace {

double number(const Json& value) { return value.is_number() ? value.get<double>() : std::nan(""); }

bool close(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(1.0, std::abs(b)); }

void check_row(const Aggregate& row, const Json& results) {
  CAPTURE(row.name);
  REQUIRE(results.contains(row.name));
  const Json& expected = results[row.name];
  CHECK(expected.value("alias", "") == row.alias);
  CHECK(expected.value("sample_len", -1) == row.question_count);
  for (std::size_t m = 0; m < row.kinds.size(); ++m) {
    const std::string key = row.kinds[m].key();
    CAPTURE(key);
    REQUIRE(expected.contains(key));
    CHECK(close(row.metrics[m].value, number(expected[key])));
    REQUIRE(row.metrics[m].standard_error.has_value());
    CHECK(close(*row.metrics[m].standard_error, number(expected[row.kinds[m].key("_stderr")])));
  }
  // Nothing that the harness reports is left out.
  for (const auto& [key, value] : expected.items())
    if (key.find(',') != std::string::npos && key.find("_stderr") == std::string::npos)
      CHECK(std::any_of(row.kinds.begin(), row.kinds.end(),
                        [&, &k = key](const MetricColumn& c) { return k == c.key(); }));
}

// Every sample of the task: contexts by hash, then metrics.
std::size_t check_samples(const PreparedTask& task, const TaskOutcome& outcome, const std::vector<Json>& samples) {
  std::map<std::string, std::size_t> subtask_of;
  for (std::size_t s = 0; s < task.subtasks.size(); ++s) subtask_of[task.subtasks[s].name] = s;
  std::size_t checked = 0, wrong_contexts = 0, wrong_metrics = 0, wrong_answers = 0;
  for (const Json& sample : samples) {
    const auto found = subtask_of.find(sample["t"].get<std::string>());
    if (found == subtask_of.end()) continue;
    const auto d = sample["d"].get<std::size_t>();
    REQUIRE(d < task.subtasks[found->second].documents.size());
    const Document& document = task.subtasks[found->second].documents[d];
    std::vector<std::string> hashes;
    for (const std::string& context : document.contexts) hashes.push_back(moe::sha256_hex(context).substr(0, 12));
    auto expected = sample["c"].get<std::vector<std::string>>();
    std::sort(hashes.begin(), hashes.end());
    std::sort(expected.begin(), expected.end());
    const bool same_contexts = hashes == expected;
    if (!same_contexts && ++wrong_contexts < 4) MESSAGE(sample.dump() << " context: " << document.contexts[0]);
    const DocumentOutcome& scored = outcome.documents[found->second][d];
    const std::string filter = sample.value("f", "none");
    for (std::size_t f = 0; f < scored.filtered.size(); ++f)
      if (task.spec.filters[f].name == filter && scored.filtered[f] != sample["out"] && ++wrong_answers < 4)
        MESSAGE(sample.dump() << " got " << scored.filtered[f]);
    for (std::size_t m = 0; m < task.spec.metrics.size(); ++m) {
      if (task.spec.metrics[m].filter != filter) continue;
      const double metric = number(sample["m"][std::string(name_of(task.spec.metrics[m].metric))]);
      if (!close(scored.metrics[m], metric) && ++wrong_metrics < 4)
        MESSAGE(sample.dump() << " got " << scored.metrics[m]);
    }
    ++checked;
  }
  CHECK(wrong_contexts == 0);
  CHECK(wrong_metrics == 0);
  CHECK(wrong_answers == 0);
  CHECK(checked == static_cast<std::size_t>(task.question_count()) * task.spec.filters.size());
  return checked / task.spec.filters.size();
}

void check_prompts(const PreparedTask& task, const std::vector<Json>& prompts) {
  std::size_t checked = 0;
  for (const Json& line : prompts)
    for (const Subtask& subtask : task.subtasks) {
      if (line["task"] != subtask.name) continue;
      const Document& document = subtask.documents.at(line["doc_id"].get<std::size_t>());
      const Json& args = line["args"];
      if (task.spec.kind == TaskKind::generation) {
        CHECK(args[0][0] == document.contexts[0]);
        CHECK(args[0][1]["until"] == Json(task.spec.generation.until));
        ++checked;
        continue;
      }
      REQUIRE(args.size() == document.continuations.size());
      for (std::size_t i = 0; i < args.size(); ++i) {
        CHECK(args[i][0] == document.context_of(i));
        CHECK(args[i][1] == document.continuations[i]);
      }
      ++checked;
    }
  CHECK(checked == task.subtasks.size());
}

std::vector<Json> parse_lines(const std::filesystem::path& path) {
  std::vector<Json> out;
  for (const std::string& line : moe_test::read_lines(path)) out.push_back(Json::parse(line));
  return out;
}

// The files that moe-eval writes say the same as the harness's, block by block.
void check_files(RunReport report, ModelRun run, const Json& expected) {
  const moe_test::ScratchDir scratch("moe_eval_harness");
  const std::filesystem::path& folder = scratch.dir;
  run.name = "org/fake";
  report.started = "2026-01-02T03:04:05.000006";
  const auto written = write_harness_files(report, run, folder.string());
  REQUIRE_MESSAGE(written.has_value(), written.error().message);
  const Json got = Json::parse(moe_test::read_file(folder / "org__fake" / "results_2026-01-02T03-04-05.000006.json"));
  for (const char* block : {"versions", "n-shot", "n-samples", "group_subtasks", "higher_is_better"})
    for (const auto& [field, value] : expected[block].items()) {
      const std::string& key = field;  // clang 14 lets no structured binding into CAPTURE
      // Of groups the harness also lists what follows from their parts.
      if (!got[block].contains(key) && expected.contains("groups") && expected["groups"].contains(key)) continue;
      CAPTURE(key);
      REQUIRE(got[block].contains(key));
      CHECK(got[block][key] == value);
    }
  for (const auto& [key, value] : expected["results"].items()) CHECK(got["results"].contains(key));
  CHECK(got["date"].is_number_float());
  const Subtask& first = report.tasks[0].subtasks[0];
  const auto samples =
      parse_lines(folder / "org__fake" / ("samples_" + first.name + "_2026-01-02T03-04-05.000006.jsonl"));
  const auto& filters = report.tasks[0].spec.filters;
  const std::size_t count = first.documents.size();
  REQUIRE(samples.size() == count * filters.size());
  CHECK(samples[0]["arguments"]["gen_args_0"]["arg_0"] == first.documents[0].contexts[0]);
  CHECK(samples[0]["doc"]["id"] == first.documents[0].question.id);
  const DocumentOutcome& scored = run.outcomes[0].documents[0][0];
  for (std::size_t f = 0; f < filters.size(); ++f) {
    CHECK(samples[f * count]["filter"] == filters[f].name);
    if (scored.reply) {
      CHECK(samples[f * count]["resps"][0][0] == scored.reply->text);
      CHECK(samples[f * count]["filtered_resps"][0] == scored.filtered[f]);
      CHECK(samples[f * count]["exact_match"] == scored.metrics[f]);
    } else {
      CHECK(std::stod(samples[f * count]["filtered_resps"][0][0].get<std::string>()) ==
            scored.scores[0].log_likelihood);
    }
  }
}

}  // namespace

TEST_CASE("the reference harness's prompts, metrics, means and standard errors") {
  const auto golden = moe_test::reference_dir("MOE_EVAL_GOLDEN_DIR", "../shared/data/harness");
  const auto data = moe_test::reference_dir("MOE_DATA_DIR", "../shared/data");
  if (golden.empty() || data.empty()) return moe_test::report_skip("harness goldens", "no reference directory");
  std::map<std::string, std::string> replies;  // by the first half of the prompt's hash
  moe_test::FakeModel model;
  model.reply_to = [&](std::string_view context) {
    const auto known = replies.find(moe::sha256_hex(context).substr(0, 12));
    return known == replies.end() ? "(no such prompt)" : known->second;
  };
  std::size_t cases = 0, questions = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden)) {
    const std::string file = entry.path().filename().string();
    const std::string ending = "shot.results.json";
    if (!file.ends_with(ending)) continue;
    const std::string stem = file.substr(0, file.size() - std::string(".results.json").size());
    CAPTURE(stem);
    PrepareOptions options{.data_dir = data.string()};
    options.num_fewshot = std::atoi(stem.c_str() + stem.rfind('_') + 1);
    const Json file_json = Json::parse(moe_test::read_file(entry.path()));
    const Json& results = file_json["results"];
    RunReport report;
    ModelRun run;
    const auto samples = parse_lines(golden / (stem + ".samples.jsonl"));
    const auto prompts = parse_lines(golden / (stem + ".prompts.jsonl"));
    replies.clear();
    for (const Json& sample : samples)
      if (sample.contains("raw")) replies[sample["c"][0].get<std::string>()] = sample["raw"].get<std::string>();
    std::size_t reported = 0;
    for (const std::string& name : builtin_task_names()) {
      const auto spec = load_task(name);
      REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
      if (!results.contains(spec->name)) continue;
      const auto task = prepare(*spec, options);
      REQUIRE_MESSAGE(task.has_value(), task.error().message);
      const auto outcome = evaluate(*task, model, {.bootstrap_count = 1000, .threads = {}, .hooks = {}});
      REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
      check_prompts(*task, prompts);
      questions += check_samples(*task, *outcome, samples);
      for (const Aggregate& row : outcome->subtasks) check_row(row, results);
      for (const Aggregate& row : outcome->groups) check_row(row, results);
      reported += outcome->subtasks.size() + outcome->groups.size();
      ++cases;
      report.tasks.push_back(std::move(*task));
      run.outcomes.push_back(std::move(*outcome));
    }
    CHECK(reported == results.size());
    if (reported > 0) check_files(std::move(report), std::move(run), file_json);
  }
  MESSAGE(cases << " tasks, " << questions << " questions");
  CHECK(cases > 0);
}

}  // namespace eval_harness_test

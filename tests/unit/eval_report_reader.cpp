// run.json as untrusted input: every member of a wrong type, out of range or missing is a clear error.

#include "eval/report/run_reader.hpp"

#include <set>

#include "run_text.hpp"
#include "support.hpp"

namespace eval_report_reader_test {

namespace {

using moe_test::run_json;
using moe_test::RunJson;
namespace read = moe::eval::read;

std::string error_of(const RunJson& run) {
  const auto got = read::read_run(moe_test::run_text(run));
  return got ? "" : got.error().message;
}

// Every place in a document, as a JSON pointer.
void walk(const RunJson& value, const std::string& at, std::vector<std::string>& out) {
  if (!at.empty()) out.push_back(at);
  if (value.is_object())
    for (const auto& [key, member] : value.items()) walk(member, at + "/" + key, out);
  if (value.is_array())
    for (std::size_t i = 0; i < value.size(); ++i) walk(value[i], at + "/" + std::to_string(i), out);
}

}  // namespace

TEST_CASE("a whole run.json comes back as it was written") {
  const auto run = read::read_run(moe_test::run_text(run_json(), "x/run.json"));
  REQUIRE_MESSAGE(run.has_value(), run.error().message);
  CHECK(run->file == "x/run.json");
  CHECK(run->seed == 18446744073709551615u);
  CHECK(run->command == std::vector<std::string>{"moe-eval", "--model", "it's one"});
  REQUIRE(run->models.size() == 2);
  const read::Task& task = run->models[0].tasks.at(0);
  CHECK(*task.accuracy == 0.875);
  CHECK(task.interval->second == 0.875 + 0.06);
  CHECK(*task.weight_bytes_per_question == 9876543.25);
  CHECK(*task.joules == 42.25);
  CHECK(task.executed_tokens == 6789);
  CHECK(task.by.at(0).rows.at(1).name == "law");
  REQUIRE(task.experts.has_value());
  CHECK(task.experts->subjects.at(1).counts[1][3] == 45);
  CHECK(*run->models[1].top_k == 4);
  CHECK(run->comparisons.at(0).by.at(0).rows.at(1).gap == -0.02);
  CHECK(*run->comparisons[0].questions_needed == 4321);
}

TEST_CASE("what newer versions write may be missing: a run.json of before can be reported") {
  RunJson run = run_json();
  for (const char* key : {"libmoe_version", "compiler", "command", "baseline", "machine_peaks"}) run.erase(key);
  for (RunJson& model : run["models"]) {
    for (const char* key : {"version", "interval_95", "weight_bytes_per_question", "joules", "experts", "by",
                            "compute_multiplier", "mean_experts_per_token"})
      model["tasks"][0].erase(key);
    for (RunJson& row : model["tasks"][0]["rows"]) row.erase("model_flops"), row.erase("model_tokens");
    model.erase("layer_top_k"), model.erase("content_hash"), model.erase("notes"), model.erase("chat");
  }
  for (const char* key : {"interval_95", "minimum_detectable_effect", "questions_needed", "questions", "by"})
    run["comparisons"][0].erase(key);
  CHECK(error_of(run) == "");
}

TEST_CASE("experts per layer, multipliers with an open end and the machine come back") {
  RunJson json = run_json();
  json["models"][0]["layer_top_k"] = {4, 4, 3};
  const auto run = read::read_run(moe_test::run_text(json));
  REQUIRE_MESSAGE(run.has_value(), run.error().message);
  CHECK(run->models[0].top_k_text == "4,4,3");
  CHECK_FALSE(run->models[0].top_k);
  const read::Task& task = run->models[0].tasks[0];
  CHECK(*task.experts->mean_experts_per_token == 2.5);
  REQUIRE(task.multiplier);
  CHECK(*task.multiplier->low == 1.125);
  CHECK_FALSE(task.multiplier->high);
  CHECK(task.reference == std::vector<std::string>{"second"});
  CHECK(*task.by[0].rows[0].model_flops == 3000000000);
  CHECK(run->peaks->read_bytes == 3e10);
}

TEST_CASE("a run that stopped, and families") {
  const auto run = read::read_run(moe_test::run_text(moe_test::stopped_json()));
  REQUIRE_MESSAGE(run.has_value(), run.error().message);
  REQUIRE(run->until_known.has_value());
  CHECK(run->until_known->seed == 18446744073709551615u);
  CHECK(run->until_known->pairs.at(0).b == 1);
  CHECK(run->until_known->pairs[0].verdict == moe::eval::Verdict::a_better);
  CHECK(run->until_known->pairs[0].upper == 0.1875);
  CHECK(run->until_known->models.at(1).unasked_flops == 5e12);
  CHECK(run->family_gaps.at(0).gap.best_b == 1);
  CHECK(run->family_gaps[0].models_a == std::vector<std::string>{run->models[0].name});
  const auto broken = [](const char* at, const RunJson& value) {
    RunJson changed = moe_test::stopped_json();
    changed[RunJson::json_pointer(at)] = value;
    return error_of(changed);
  };
  CHECK(broken("/until_known/pairs/0/a", "third") ==
        "run.json: until_known.pairs[0].a is '\"third\"', expected the name of a model of this file");
  CHECK(broken("/until_known/pairs/0/verdict", "maybe").find("expected open, a_better, b_better or equal") !=
        std::string::npos);
  CHECK(broken("/until_known/pairs/0/interval", {0.2, 0.1}).find("the lower one first") != std::string::npos);
  CHECK(broken("/until_known/questions_of_all", 199).find("expected a whole number from 200 on") != std::string::npos);
  CHECK(broken("/until_known/models", RunJson::array()).find("expected 2 models") != std::string::npos);
  CHECK(broken("/family_gaps/0/best_b", "third").find("family_gaps[0].best_b is") != std::string::npos);
  CHECK(broken("/family_gaps/0/distinguishable", true).find("whether 0 lies outside") != std::string::npos);
}

TEST_CASE("errors name the member, what was found and what was expected") {
  const auto broken = [](const char* at, const RunJson& value) {
    RunJson run = run_json();
    run[RunJson::json_pointer(at)] = value;
    return error_of(run);
  };
  CHECK(broken("/format", "other 2") == "run.json: format is '\"other 2\"', expected 'libmoe run 1'");
  CHECK(broken("/models/1/tasks/0/accuracy", 1.5) ==
        "run.json: models[1].tasks[0].accuracy is '1.5', expected a number from 0 to 1");
  CHECK(broken("/models/1/tasks/0/questions", 0) ==
        "run.json: models[1].tasks[0].questions is '0', expected a whole number from 1 on");
  CHECK(broken("/models/0/tasks/0/tied_questions", -1).find("tied_questions is '-1', expected a whole") !=
        std::string::npos);
  CHECK(broken("/models/0/resident_bytes", 9223372036854775808u).find("resident_bytes is '9223372036854775808'") !=
        std::string::npos);
  CHECK(broken("/models/0/tasks/0/interval_95", {0.9, 0.1}).find("the lower one first") != std::string::npos);
  CHECK(broken("/models/0/tasks/0/experts/counts/1/2", -3).find("experts.counts[1] is '-3'") != std::string::npos);
  CHECK(broken("/models/0/tasks/0/experts/layers", {1}).find("a list for each of 1 layers") != std::string::npos);
  CHECK(broken("/models/1/name", "first").find("was there before") != std::string::npos);
  CHECK(broken("/comparisons/0/b", "third").find("comparisons[0].b is '\"third\"', expected a model of this file") !=
        std::string::npos);
  CHECK(broken("/comparisons/0/gap", 2).find("comparisons[0].gap is '2', expected a number from -1 to 1") !=
        std::string::npos);
  CHECK(broken("/command", "moe-eval").find("command is '\"moe-eval\"', expected a list") != std::string::npos);
}

TEST_CASE("any member of another kind, or missing, is an error that names it, or nothing that a report reads") {
  // Written for other readers, or free to be absent.
  const std::set<std::string> unread = {"alias", "weight_bytes", "model_tokens"};
  std::vector<std::string> places;
  RunJson whole = moe_test::stopped_json();
  whole["comparisons"] = run_json()["comparisons"];
  REQUIRE(error_of(whole) == "");
  walk(whole, "", places);
  CHECK(places.size() > 200);
  std::size_t refused = 0;
  for (const std::string& at : places) {
    CAPTURE(at);
    const std::string last = at.substr(at.rfind('/') + 1);
    for (const RunJson& other : {RunJson{{"strange", 1}}, RunJson("text"), RunJson(std::vector<RunJson>{1, "x"})}) {
      RunJson run = whole;
      const RunJson before = run[RunJson::json_pointer(at)];
      run[RunJson::json_pointer(at)] = other;
      const std::string error = error_of(run);
      const bool is_same_kind = before.type() == other.type() || unread.contains(last);
      if (error.empty()) CHECK(is_same_kind);
      refused += !error.empty();
      for (const char c : error) CHECK(c >= ' ');
    }
  }
  CHECK(refused > 300);
}

TEST_CASE("bytes that are no run.json") {
  for (const char* text :
       {"", "{", "[]", "null", "{}", "{\"format\": \"libmoe run 1\"}", "\xff\xfe", "{\"format\": NaN}"}) {
    CAPTURE(text);
    const auto got = read::read_run({"a\nb.json", text});
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error().code == moe::ErrorCode::bad_file);
    CHECK(got.error().message.starts_with("a\\x0ab.json: "));
  }
  RunJson run = run_json();
  std::string text = moe_test::run_text(run).text;
  text.replace(text.find("12.5"), 4, "NaN ");
  const auto got = read::read_run({"run.json", text});
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().message == "run.json: seconds is 'NaN', expected a number from 0 on");
  // Cut anywhere, it is an error and nothing worse.
  const std::string whole = moe_test::run_text(run).text;
  for (std::size_t size = 0; size + 1 < whole.size(); size += 97)
    CHECK_FALSE(read::read_run({"run.json", whole.substr(0, size)}).has_value());
}

}  // namespace eval_report_reader_test

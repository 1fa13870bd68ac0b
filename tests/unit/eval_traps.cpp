// Where evaluators usually differ from the reference harness: one small case for each, without any reference data.
// (Caching keys, the padded vocabulary and truncation are tested where a model runs: tests/golden.)

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "eval/encode.hpp"
#include "eval/log_softmax.hpp"
#include "moe/eval/evaluate.hpp"
#include "support.hpp"

using namespace moe::eval;

namespace {

struct DataFolder {
  std::filesystem::path path;
  DataFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "moe_traps_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~DataFolder() { std::filesystem::remove_all(path); }
  PreparedTask prepared(const std::string& task, const std::string& lines, PrepareOptions options = {}) const {
    const auto spec = find_task(task);
    REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
    std::filesystem::create_directories(path / "questions");
    std::ofstream(path / "questions" / spec->data, std::ios::binary) << lines;
    options.data_dir = path.string();
    auto out = prepare(*spec, options);
    REQUIRE_MESSAGE(out.has_value(), out.error().message);
    return std::move(*out);
  }
};

Document only_document(const std::string& task, const std::string& line) {
  const DataFolder data;
  return data.prepared(task, line).subtasks.at(0).documents.at(0);
}

// Scores by continuation; others get -100.
class Oracle : public LanguageModel {
 public:
  explicit Oracle(std::map<std::string, double> scores) : scores_(std::move(scores)) {}
  moe::Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks&) override {
    std::vector<Score> out(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const auto found = scores_.find(std::string(requests[i].continuation));
      out[i].log_likelihood = found == scores_.end() ? -100 : found->second;
    }
    return out;
  }

 private:
  std::map<std::string, double> scores_;
};

}  // namespace

TEST_CASE("trap: acc_norm divides by code points, without the delimiter") {
  // "\u4e2d\u6587" has 2 code points and 6 bytes; -4/2 loses to -5/3, and -4/6 would win.
  const DataFolder data;
  const auto task = data.prepared(
      "piqa", "{\"id\":\"1\",\"question\":\"q\",\"choices\":[\"\xe4\xb8\xad\xe6\x96\x87\",\"abc\"],\"answer\":1}");
  Oracle model({{" \xe4\xb8\xad\xe6\x96\x87", -4}, {" abc", -5}});
  const auto outcome = evaluate(task, model);
  CHECK(outcome->documents[0][0].metrics == std::vector<double>{0, 1});
}

TEST_CASE("trap: questions are stripped of Unicode white space, choices keep theirs; the letter is \" A\"") {
  const Document d = only_document(
      "mmlu",
      R"({"id":"1","subject":"anatomy","question":"\u00a0\u3000Q\u00a0\n","choices":[" a","b ","c","d"],"answer":3})");
  CHECK(d.contexts[0] ==
        "The following are multiple choice questions (with answers) about anatomy.\n\nQ\nA.  a\nB. b \nC. c\nD. "
        "d\nAnswer:");
  CHECK(d.continuations == std::vector<std::string>{" A", " B", " C", " D"});
}

TEST_CASE("trap: a space before the letter, even behind a full-width colon") {
  for (const char* task : {"cmmlu", "ceval"}) {
    CAPTURE(task);
    const std::string subject = find_task(task)->subjects.front().first;
    const Document d = only_document(
        task, R"({"id":"1","subject":")" + subject + R"(","question":"Q","choices":["a","b","c","d"],"answer":3})");
    CHECK(d.contexts[0].ends_with("\xe7\xad\x94\xe6\xa1\x88\xef\xbc\x9a"));
    CHECK(d.continuations[0] == " A");
  }
}

TEST_CASE("trap: BoolQ's first choice is no") {
  const Document d =
      only_document("boolq", R"({"id":"1","passage":"P","question":"is it","choices":["no","yes"],"answer":1})");
  CHECK(d.contexts[0] == "P\nQuestion: is it?\nAnswer:");
  CHECK(d.continuations == std::vector<std::string>{" no", " yes"});
}

TEST_CASE("trap: WinoGrande scores one shared ending behind two contexts, without normalisation") {
  const Document d = only_document(
      "winogrande",
      R"({"id":"1","question":"","choices":["Ann was late because Ann","Ann was late because Bob"],"continuation":" slept. ","answer":0})");
  CHECK(d.contexts == std::vector<std::string>{"Ann was late because Ann", "Ann was late because Bob"});
  CHECK(d.continuations == std::vector<std::string>{" slept.", " slept."});
  CHECK(column_of(find_task("winogrande")->metrics, Metric::acc_norm) == find_task("winogrande")->metrics.size());
}

TEST_CASE("trap: LAMBADA counts a word only when every token of it is greedy") {
  TaskSpec spec = *find_task("lambada_openai");
  Document d;
  d.lengths = {1};
  Score score;
  score.log_likelihood = -2;
  const std::size_t acc = column_of(spec.metrics, Metric::acc);
  CHECK(score_document(spec, d, {score})->metrics[acc] == 0);
  score.is_greedy = true;
  CHECK(score_document(spec, d, {score})->metrics[acc] == 1);
}

TEST_CASE("trap: equal scores go to the first choice and are counted; a NaN never wins") {
  const DataFolder data;
  const auto task = data.prepared("piqa", R"({"id":"q7","question":"q","choices":["a","b","c"],"answer":0})");
  Oracle tie({{" a", -1}, {" b", -1}, {" c", -3}});
  const auto outcome = evaluate(task, tie);
  CHECK(outcome->documents[0][0].prediction == 0);
  CHECK(outcome->tied == 1);
  Oracle broken({{" a", -1}, {" b", std::nan("")}});
  const auto refused = evaluate(task, broken);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == moe::ErrorCode::non_finite);
  CHECK(refused.error().message.find("question 'q7'") == 0);
  CHECK(summarise(std::vector<float>{-1, 2, 2}).argmax == 1);
}

TEST_CASE("trap: three and five choices, none assumed") {
  CHECK(only_document("arc_easy", R"({"id":"1","question":"q","choices":["a","b","c"],"answer":2})")
            .continuations.size() == 3);
  CHECK(only_document("arc_easy", R"({"id":"1","question":"q","choices":["a","b","c","d","e"],"answer":4})")
            .continuations.size() == 5);
  // A prompt that names four choices does not take a question with three.
  const DataFolder data;
  std::filesystem::create_directories(data.path / "questions");
  std::ofstream(data.path / "questions/mmlu.jsonl")
      << R"({"id":"7","subject":"anatomy","question":"q","choices":["a","b","c"],"answer":2})";
  const auto missing = prepare(*find_task("mmlu"), {.data_dir = data.path.string()});
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().message ==
        (data.path / "questions/mmlu.jsonl").string() + ": question '7' has no choice 4 (it has 3)");
}

TEST_CASE("trap: worked examples are asked for, except where the task says so") {
  for (const std::string& name : builtin_task_names()) {
    CAPTURE(name);
    CHECK(find_task(name)->num_fewshot == (name == "gsm8k" ? 5 : 0));
  }
}

TEST_CASE("trap: the limit is of each subtask; groups weigh questions, not subtasks") {
  std::string lines;
  for (int i = 0; i < 6; ++i)
    lines += R"({"id":")" + std::to_string(i) + R"(","subject":")" + (i < 4 ? "anatomy" : "virology") +
             R"(","question":"q","choices":["a","b","c","d"],"answer":)" + (i < 4 ? "0" : "1") + "}\n";
  const DataFolder data;
  CHECK(data.prepared("mmlu", lines, {.limit = 1}).question_count() == 2);
  CHECK(data.prepared("mmlu", lines, {.limit = 0.3}).question_count() == 3);  // ceil(1.2) + ceil(0.6)
  Oracle model({{" A", -1}});
  const auto outcome = evaluate(data.prepared("mmlu", lines), model);
  REQUIRE(outcome.has_value());
  CHECK(outcome->overall.metrics[0].value == doctest::Approx(4.0 / 6));  // the mean of 1 and 0 would be 1/2
}

// Question files, what is asked of them, and how an answer is scored.

#include <cmath>
#include <string>

#include "moe/eval/report.hpp"
#include "scratch_dir.hpp"

namespace eval_questions_test {

using namespace moe::eval;

namespace {

struct TemporaryFolder : moe_test::ScratchDir {
  TemporaryFolder() : ScratchDir("moe_eval_questions") {}
};

std::string error_of_questions(const std::string& lines, TaskKind kind = TaskKind::multiple_choice) {
  const TemporaryFolder folder;
  const auto loaded = load_questions(folder.write("q.jsonl", lines), kind);
  if (loaded) return "";
  return loaded.error().message.substr(folder.dir.string().size() + 1);
}

const std::string kGood = R"({"id":"a","question":"1+1?","choices":["1","2"],"answer":1})";

}  // namespace

TEST_CASE("bad question files name file, line and question") {
  CHECK(error_of_questions(kGood) == "");
  CHECK(error_of_questions(kGood + "\n\n") == "");
  CHECK(error_of_questions("") == "q.jsonl holds no question");
  CHECK(error_of_questions(kGood + "\nnonsense") == "q.jsonl:2: question 'line 2' is no valid JSON at byte 1");
  CHECK(error_of_questions(kGood + "\n[]") == "q.jsonl:2: question 'line 2' is a JSON array, expected an object");
  CHECK(error_of_questions(R"({"id":"b","question":"?","choices":["x","y"],"answer":0,"answer":1})") ==
        "q.jsonl:1: question 'line 1' has the key 'answer' twice in one object");
  CHECK(error_of_questions(kGood + "\n" + kGood) == "q.jsonl:2: question 'a' has the id of line 1");
  CHECK(error_of_questions(R"({"id":"b","question":"?","choices":["1","2"]})") ==
        "q.jsonl:1: question 'b' has no \"answer\"");
  CHECK(error_of_questions(R"({"id":"b","question":"?","choices":["1","2"],"answer":2})") ==
        "q.jsonl:1: question 'b' \"answer\" is '2', expected a number from 0 to 1 or a letter from A to B");
  CHECK(
      error_of_questions(R"({"id":"b","question":"?","choices":["1","2"],"answer":1e99})").find("expected a number") !=
      std::string::npos);
  CHECK(error_of_questions(R"({"id":"b","question":"?","choices":["1"],"answer":0})").find("at least two") !=
        std::string::npos);
  CHECK(error_of_questions(R"({"id":"b","question":"?","choices":["1",2],"answer":0})") ==
        "q.jsonl:1: question 'b' choice 2 is number, expected text");
  CHECK(error_of_questions(R"({"id":"b","question":"?","answer":0})") == "q.jsonl:1: question 'b' has no \"choices\"");
  CHECK(error_of_questions("{\"id\":\"\xff\"}") == "q.jsonl:1: question 'line 1' is no valid JSON at byte 8");
  CHECK(error_of_questions(R"({"id":"c","context":"x","target":"y"})", TaskKind::cloze) == "");
}

TEST_CASE("answers as question files write them") {
  const auto asked = [](const std::string& answer, const std::string& choices = R"(["red","blue","green"])") {
    const TemporaryFolder folder;
    const auto loaded = load_questions(
        folder.write("q.jsonl", R"({"question":"?","choices":)" + choices + R"(,"answer":)" + answer + "}"),
        TaskKind::multiple_choice);
    return loaded ? loaded->at(0).answer : -1;
  };
  const auto error = [](const std::string& answer, const std::string& choices) {
    return error_of_questions(kGood + "\n" + R"({"question":"?","choices":)" + choices + R"(,"answer":)" + answer +
                              "}");
  };
  for (const char* second : {"1", "1.0", "1e0", "10e-1", "\"1\"", "\"B\"", "\"b\"", "\" B\\n\""}) {
    CAPTURE(second);
    CHECK(asked(second) == 1);
  }
  CHECK(asked("0.0") == 0);
  CHECK(asked("\"C\"") == 2);
  for (const char* none : {"1.5", "-1", "3", "3.0", "1e300", "NaN", "Infinity", "true", "[1]", "{}", "\"\"", "\"D\"",
                           "\"3\"", "\"-1\"", "\"1.0\"", "\"BB\"", "\"blue\"", "18446744073709551617"}) {
    CAPTURE(none);
    CHECK(error(none, R"(["red","blue","green"])").find("expected a number from 0 to 2 or a letter from A to C") !=
          std::string::npos);
  }
  // The letter of one choice and the text of another: nobody can tell.
  CHECK(error("\"A\"", R"(["B","A"])") ==
        "q.jsonl:2: question 'line 2' \"answer\" is 'A', which names choice 1 and is the text of choice 2: "
        "expected its number");
  CHECK(error("\"1\"", R"(["1","2","3"])").find("names choice 2 and is the text of choice 1") != std::string::npos);
  CHECK(asked("\"B\"", R"(["A","B"])") == 1);
  CHECK(asked("1", R"(["1","2","3"])") == 1);
}

TEST_CASE("a question file of one's own: default prompt, 3- and 5-choice items, limits") {
  const TemporaryFolder folder;
  const std::string path =
      folder.write("own.jsonl", R"({"id":"1","question":"Q1 ","choices":["a","b","c"],"answer":2})"
                                "\n"
                                R"({"id":"2","question":"Q2","choices":["a","b","c","d","e"],"answer":4})"
                                "\n"
                                R"({"id":"3","question":"Q3","choices":["a","b"],"answer":0})");
  const auto spec = load_task(path);
  REQUIRE(spec.has_value());
  CHECK(spec->name == "own");
  const auto task = prepare(*spec, {});
  REQUIRE(task.has_value());
  const auto& documents = task->subtasks.at(0).documents;
  REQUIRE(documents.size() == 3);
  CHECK(documents[0].contexts == std::vector<std::string>{"Question: Q1 \nAnswer:"});
  CHECK(documents[1].continuations == std::vector<std::string>{" a", " b", " c", " d", " e"});
  CHECK(documents[1].target == "4");
  CHECK(prepare(*spec, {.limit = 2})->question_count() == 2);
  CHECK(prepare(*spec, {.limit = 0.5})->question_count() == 2);  // rounded up
  CHECK(prepare(*spec, {.limit = 99})->question_count() == 3);
  for (const double wrong : {std::nan(""), HUGE_VAL, -HUGE_VAL, -1.0})
    CHECK_FALSE(prepare(*spec, {.limit = wrong}).has_value());
  CHECK_FALSE(prepare(*spec, {.num_fewshot = -1}).has_value());
  CHECK(prepare(*spec, {.num_fewshot = 1}).error().message ==
        "task own has no worked examples: ask it with 0 shots, not 1");
}

TEST_CASE("the fields that name and sort a question have a type") {
  const std::string rest = R"(,"choices":["x","y"],"answer":0})";
  CHECK(error_of_questions(R"({"split":["dev"])" + rest).find("\"split\" is array, expected test or") !=
        std::string::npos);
  CHECK(error_of_questions(R"({"split":1)" + rest).find("\"split\" is number") != std::string::npos);
  CHECK(error_of_questions(R"({"id":"q","split":"dve")" + rest) ==
        "q.jsonl:1: question 'q' \"split\" is 'dve', expected test or validation (asked), dev, train or fewshot "
        "(examples)");
  CHECK(error_of_questions(R"({"id":["a"])" + rest) ==
        "q.jsonl:1: question 'line 1' \"id\" is array, expected text or "
        "a number");
  CHECK(error_of_questions(R"({"id":7,"subject":{})" + rest) ==
        "q.jsonl:1: question '7' \"subject\" is object, expected text or a number");
  CHECK(error_of_questions(R"({"subject":true)" + rest).find("\"subject\" is boolean") != std::string::npos);
  CHECK(error_of_questions(R"({"id":null,"subject":3,"split":null)" + rest).empty());
  CHECK(error_of_questions(R"({"id":1)" + rest + "\n" + R"({"id":"1")" + rest) ==
        "q.jsonl:2: question '1' has the id of line 1");
}

TEST_CASE("metrics: first maximum, code points, greedy, NaN refused") {
  TaskSpec task;
  task.metrics = {Metric::acc, Metric::acc_norm};
  Document document;
  document.question.answer = 1;
  document.lengths = {2, 4, 1};
  const auto scored = [&](std::vector<double> lls) {
    std::vector<Score> scores(lls.size());
    for (std::size_t i = 0; i < lls.size(); ++i) scores[i].log_likelihood = lls[i];
    return score_document(task, document, scores);
  };
  CHECK(scored({-4, -5, -3})->prediction == 2);
  CHECK(scored({-4, -5, -3})->metrics == std::vector<double>{0, 1});
  const auto tie = scored({-2, -1, -1});
  CHECK(tie->prediction == 1);
  CHECK(tie->tied);
  const auto bad = scored({-2, std::nan(""), -1});
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error().code == moe::ErrorCode::non_finite);

  TaskSpec cloze;
  cloze.kind = TaskKind::cloze;
  cloze.metrics = {Metric::perplexity, Metric::acc};
  Score greedy;
  greedy.log_likelihood = -1.5, greedy.is_greedy = true;
  CHECK(score_document(cloze, document, {greedy})->metrics == std::vector<double>{-1.5, 1});
}

TEST_CASE("a generation task: one prompt per question, the reply is compared with the target") {
  const TemporaryFolder folder;
  folder.write("questions/q.jsonl", R"({"id":"1","question":"Q1","choices":["x","y"],"answer":1})");
  folder.write("fewshot/q.jsonl", R"({"id":"s1","question":"S1","choices":["u","v"],"answer":0})");
  const auto spec = parse_task(
      R"({"task":"t","type":"generation","questions":"q.jsonl","fewshot":{"examples":"q.jsonl"},"prompt":"{question}\nA:",
      "continuation":"{label}","labels":["A","B"],"until":["\n"],"max_tokens":8,"metrics":["exact_match"]})",
      "t.json");
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  const auto task = prepare(*spec, {.data_dir = folder.dir.string(), .num_fewshot = 1});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  const Document& document = task->subtasks[0].documents[0];
  CHECK(document.contexts == std::vector<std::string>{"S1\nA: A\n\nQ1\nA:"});
  CHECK(document.continuations.empty());
  CHECK(document.target == "B");

  // What a model is asked, and what becomes of its reply.
  class Writer : public LanguageModel {
   public:
    moe::Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks&) override {
      CHECK(requests.empty());
      return std::vector<Score>();
    }
    moe::Result<std::vector<Generation>> generate(std::span<const GenerateRequest> requests, const Hooks&) override {
      REQUIRE(requests.size() == 1);
      CHECK(requests[0].stop.size() == 1);
      CHECK(requests[0].max_tokens == 8);
      Generation reply;
      reply.text = text, reply.truncated = true;
      return std::vector<Generation>{reply};
    }
    std::string text = "B";
  } writer;
  const auto right = evaluate(*task, writer);
  REQUIRE(right.has_value());
  CHECK(right->overall.metrics[0].value == 1);
  CHECK(right->truncated == 1);
  writer.text = "A";
  CHECK(evaluate(*task, writer)->overall.metrics[0].value == 0);
}

}  // namespace eval_questions_test

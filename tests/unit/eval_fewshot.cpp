// Worked examples in front of a question, subtasks and clusters.

#include <fmt/format.h>

#include <string>

#include "eval/score/python_random.hpp"
#include "moe/eval/report.hpp"
#include "scratch_dir.hpp"

namespace eval_fewshot_test {

using namespace moe::eval;

namespace {

struct TemporaryFolder : moe_test::ScratchDir {
  TemporaryFolder() : ScratchDir("moe_eval_fewshot") {}
};

}  // namespace

TEST_CASE("few-shot examples, subtasks and clusters of a task file") {
  const TemporaryFolder folder;
  folder.write("questions/q.jsonl", R"({"id":"1","subject":"b_b","question":"p\nQ1","choices":["x","y"],"answer":1})"
                                    "\n"
                                    R"({"id":"2","subject":"a","question":"Q2","choices":["x","y"],"answer":0})"
                                    "\n"
                                    R"({"id":"3","subject":"b_b","question":"p\nQ3","choices":["x","y"],"answer":0})");
  folder.write("fewshot/q.jsonl", R"({"id":"s1","subject":"b_b","question":"S1","choices":["u","v"],"answer":1})"
                                  "\n"
                                  R"({"id":"s2","subject":"a","question":"S2","choices":["u","v"],"answer":0})");
  const auto spec = parse_task(
      R"({"task":"t","questions":"q.jsonl","fewshot":{"examples":"q.jsonl"},"description":"On {subject|spaces}.\n\n",
      "prompt":"{question}\nA:","metrics":["acc"],"cluster":"{question|head}","subtasks":{"name":"t_{subject}"}})",
      "t.json");
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  const auto task = prepare(*spec, {.data_dir = folder.dir.string(), .num_fewshot = 1});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  REQUIRE(task->subtasks.size() == 2);
  CHECK(task->subtasks[0].name == "t_b_b");
  CHECK(task->subtasks[0].documents[1].contexts[0] == "On b b.\n\nS1\nA: v\n\np\nQ3\nA:");
  CHECK(task->subtasks[0].documents[0].cluster == task->subtasks[0].documents[1].cluster);
  CHECK(task->subtasks[1].documents[0].contexts[0] == "On a.\n\nS2\nA: u\n\nQ2\nA:");
  const auto too_many = prepare(*spec, {.data_dir = folder.dir.string(), .num_fewshot = 2});
  REQUIRE_FALSE(too_many.has_value());
  CHECK(too_many.error().message == "t_b_b: 2 examples asked for, there is 1 with subject 'b_b'");
}

TEST_CASE("a description is that of each question, also where subjects share a subtask") {
  const TemporaryFolder folder;
  folder.write("questions/q.jsonl", R"({"id":"1","subject":"b_b","question":"Q1","choices":["x","y"],"answer":1})"
                                    "\n"
                                    R"({"id":"2","subject":"a","question":"Q2","choices":["x","y"],"answer":0})");
  const auto spec = parse_task(R"({"task":"t","questions":"q.jsonl","description":"On {subject|spaces}.\n\n",
      "prompt":"{question}\nA:","metrics":["acc"]})",
                               "t.json");
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  const auto task = prepare(*spec, {.data_dir = folder.dir.string()});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  REQUIRE(task->subtasks.size() == 1);
  CHECK(task->subtasks[0].documents[0].contexts[0] == "On b b.\n\nQ1\nA:");
  CHECK(task->subtasks[0].documents[1].contexts[0] == "On a.\n\nQ2\nA:");
}

TEST_CASE("random examples: a new draw for every question, one generator per subtask, never the question itself") {
  const TemporaryFolder folder;
  std::string lines, shots;
  for (int i = 0; i < 40; ++i) {
    const std::string n = std::to_string(i);
    lines += R"({"id":"q)" + n + R"(","question":"Q)" + n + R"(","answer_text":"a)" + n + "\"}\n";
  }
  folder.write("questions/q.jsonl", lines);
  folder.write("fewshot/q.jsonl", lines);
  const auto prepared = [&](const std::string& fewshot, std::int64_t count, std::uint64_t seed) {
    const auto spec =
        parse_task(R"({"task":"t","type":"generation","questions":"q.jsonl","fewshot":)" + fewshot +
                       R"(,"prompt":"{question}","continuation":"{answer_text}","metrics":["exact_match"]})",
                   "t.json");
    REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
    auto task =
        prepare(*spec, {.data_dir = folder.dir.string(), .num_fewshot = count, .limit = 30, .fewshot_seed = seed});
    REQUIRE_MESSAGE(task.has_value(), task.error().message);
    return std::move(*task);
  };
  const std::string random = R"({"examples":"q.jsonl","rule":"random"})";
  PythonRandom expected(1234);
  const PreparedTask drawn = prepared(random, 2, 1234);
  for (const Document& d : drawn.subtasks[0].documents) {
    std::string text;
    for (std::size_t i : expected.sample(40, 2)) text += "Q" + std::to_string(i) + " a" + std::to_string(i) + "\n\n";
    CHECK(d.contexts[0] == text + QuestionFields::read(d.question)->text("question").value());
  }
  CHECK(prepared(random, 2, 1).subtasks[0].documents[0].contexts != drawn.subtasks[0].documents[0].contexts);
  // Drawn among the questions: one more than asked for, the question itself left out.
  const std::string self = R"({"examples":"self","rule":"random"})";
  PythonRandom again(1234);
  const PreparedTask own = prepared(self, 25, 1234);
  for (std::size_t d = 0; d < own.subtasks[0].documents.size(); ++d) {
    std::string text;
    int used = 0;
    for (std::size_t i : again.sample(40, 26))
      if (i != d && used++ < 25) text += "Q" + std::to_string(i) + " a" + std::to_string(i) + "\n\n";
    CHECK(own.subtasks[0].documents[d].contexts[0] == text + "Q" + std::to_string(d));
  }
}

namespace {

std::string exam_line(const char* id, const char* subject, const char* tier, const char* more = "") {
  return fmt::format(R"({{"id":"{}","subject":"{}","tier":{},"question":"{}?","choices":["x","y"],"answer":0{}}})", id,
                     subject, tier, id, more) +
         "\n";
}

/// Writes an exam of two subjects and tiers with a worked example of each subject; its path.
std::string write_exam(const TemporaryFolder& folder) {
  return folder.write("exam.jsonl", exam_line("d1", "law", "1", R"(,"split":"dev")") + exam_line("q1", "law", "10") +
                                        exam_line("q2", "art", "9", R"(,"split":"test")") +
                                        exam_line("d2", "art", "1", R"(,"split":"dev")") + exam_line("q3", "law", "9"));
}

/// q1 and q2 right, q3 wrong.
class Scorer : public LanguageModel {
 public:
  moe::Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks&) override {
    std::vector<Score> scores(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i)
      scores[i].log_likelihood = (requests[i].question == "q3") == (requests[i].continuation == " y") ? -1 : -2;
    return scores;
  }
};

}  // namespace

TEST_CASE("an exam in one file: worked examples by subject") {
  const TemporaryFolder folder;
  const auto spec = load_task(write_exam(folder));
  const auto plain = prepare(*spec, {});
  REQUIRE_MESSAGE(plain.has_value(), plain.error().message);
  CHECK(plain->question_count() == 3);
  const auto task = prepare(*spec, {.num_fewshot = 1});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  const auto& documents = task->subtasks[0].documents;
  CHECK(documents[0].contexts[0] == "Question: d1?\nAnswer: x\n\nQuestion: q1?\nAnswer:");
  CHECK(documents[1].contexts[0] == "Question: d2?\nAnswer: x\n\nQuestion: q2?\nAnswer:");
  CHECK(documents[2].contexts[0] == "Question: d1?\nAnswer: x\n\nQuestion: q3?\nAnswer:");
  CHECK(prepare(*spec, {.num_fewshot = 2}).error().message ==
        "exam: 2 examples asked for, there is 1 with subject 'law'");
}

TEST_CASE("an exam in one file: tables by subject and tier") {
  const TemporaryFolder folder;
  const auto task = prepare(*load_task(write_exam(folder)), {.num_fewshot = 1});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  Scorer model;
  const auto outcome = evaluate(*task, model);
  REQUIRE(outcome.has_value());
  REQUIRE(outcome->breakdowns.size() == 2);
  CHECK(outcome->breakdowns[0].field == "subject");
  CHECK(outcome->breakdowns[0].rows[0].name == "law");
  CHECK(outcome->breakdowns[0].rows[0].metrics[0].value == 0.5);
  CHECK(outcome->breakdowns[1].rows[0].name == "9");  // numbers rise: 9 before 10
  CHECK(outcome->breakdowns[1].rows[0].question_count == 2);
  CHECK(outcome->breakdowns[1].rows[1].metrics[0].value == 1);
  RunReport report;
  report.tasks.push_back(*task);
  ModelRun run;
  run.name = "m";
  run.outcomes.push_back(*outcome);
  report.models.push_back(run);
  const std::string tables = render_tables(report);
  for (const char* row :
       {"acc % ± SE by subject  questions", "acc % ± SE by tier  questions", "\nlaw ", "\n9 ", "\n10 "})
    CHECK_MESSAGE(tables.find(row) != std::string::npos, tables);
}

TEST_CASE("an exam's examples alone are no exam; they may be in a file of their own, beside the task file") {
  const TemporaryFolder folder;
  write_exam(folder);
  CHECK(load_task(folder.write("only.jsonl", exam_line("d1", "law", "1", R"(,"split":"dev")"))).has_value());
  CHECK(prepare(*load_task((folder.dir / "only.jsonl").string()), {})
            .error()
            .message.find("only.jsonl holds examples only, no question") != std::string::npos);
  folder.write("dev.jsonl", exam_line("e1", "law", "1") + exam_line("e2", "art", "1"));
  const auto beside = load_task(folder.write("t.json", R"({"task":"t","questions":"./exam.jsonl","fewshot":{"examples":
    "./dev.jsonl","match":"subject"},"prompt":"{question}","metrics":["acc"],"group_by":["tier"]})"));
  REQUIRE_MESSAGE(beside.has_value(), beside.error().message);
  const auto other = prepare(*beside, {.num_fewshot = 1});
  REQUIRE_MESSAGE(other.has_value(), other.error().message);
  CHECK(other->subtasks[0].documents[1].contexts[0] == "e2? x\n\nq2?");
}

}  // namespace eval_fewshot_test

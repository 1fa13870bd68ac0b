// Question and task files of many short pieces: what is built from them takes at most 8 times the file, and a program
// that was asked to stop does not read on.

#include <fmt/format.h>

#include <functional>
#include <iostream>

#include "allocation_meter.hpp"
#include "bad_input.hpp"
#include "moe/eval/prompt.hpp"

namespace {

using namespace moe_test;
using namespace moe::eval;

constexpr std::size_t kBytes = 1 << 20;

std::string lines_of(const std::function<std::string(std::size_t)>& line) {
  std::string out;
  for (std::size_t i = 0; out.size() < kBytes; ++i) out += line(i) + "\n";
  return out;
}
std::string repeated(std::string_view piece) {
  std::string out;
  while (out.size() < kBytes) out += piece;
  return out;
}

TaskSpec task_of(const std::string& path, TaskKind kind) {
  TaskSpec task;
  task.name = "t";
  task.kind = kind;
  task.prompt = "p";
  if (kind != TaskKind::multiple_choice) task.continuation = "c";
  task.metrics = {kind == TaskKind::generation ? Metric::exact_match : Metric::acc};
  task.data = path;
  task.data_is_path = true;
  return task;
}

struct Exam {
  const char* name;
  TaskKind kind;
  std::string text;
};

std::vector<Exam> exams() {
  const auto mc = TaskKind::multiple_choice, cloze = TaskKind::cloze;
  const auto short_line = [](std::size_t) { return R"({"choices":["a","b"],"answer":0})"; };
  std::vector<Exam> out = {
      {"no field", cloze, lines_of([](std::size_t) { return "{}"; })},
      {"one field", cloze, lines_of([](std::size_t) { return R"({"a":1})"; })},
      {"replies", TaskKind::generation, lines_of([](std::size_t) { return R"({"a":1,"b":2,"c":"de"})"; })},
      {"two choices", mc, lines_of(short_line)},
      {"two choices, then nonsense", mc, lines_of(short_line) + "x"},
      {"ids", mc,
       lines_of([](std::size_t i) { return fmt::format(R"({{"id":{},"choices":["a","b"],"answer":0}})", i); })},
      {"long ids", mc,
       lines_of([](std::size_t i) { return fmt::format(R"({{"id":"{:0100}","choices":["a","b"],"answer":0}})", i); })},
      {"questions", mc, lines_of([](std::size_t i) {
         return fmt::format(R"({{"id":{},"question":"which of these","choices":["aa","bb","cc","dd"],"answer":1}})", i);
       })},
      {"choices", mc, "{\"choices\":[" + repeated("\"a\",") + "\"a\"],\"answer\":0}"},
      {"1000 choices each", mc, ""},
      {"empty lines", mc, repeated("\n")},
  };
  std::string wide = "{\"choices\":[\"a\"", fields = "{\"\":0";
  for (int i = 0; i < 1000; ++i) wide += ",\"a\"";
  wide += "],\"answer\":0}";
  out[9].text = lines_of([&](std::size_t) { return wide; });
  for (std::size_t i = 0; fields.size() < kBytes; ++i) fields += fmt::format(",\"{:x}\":0", i);
  out.push_back({"fields", cloze, fields + "}"});
  return out;
}

}  // namespace

TEST_CASE("questions take at most 8 times their file, however short they are") {
  const TemporaryDirectory dir;
  for (const Exam& exam : exams()) {
    const std::string path = dir.write("q.jsonl", exam.text);
    const TaskSpec task = task_of(path, exam.kind);
    for (const bool prepares : {false, true}) {
      CAPTURE(std::string(exam.name));
      CAPTURE(prepares);
      start_allocation_meter();
      std::string problem;
      if (prepares) {
        if (const auto read = prepare(task, {.limit = 1}); !read) problem = read.error().message;
      } else {
        if (const auto read = load_questions(path, exam.kind); !read) problem = read.error().message;
      }
      const double times = static_cast<double>(allocation_peak()) / static_cast<double>(exam.text.size());
      if (!problem.empty()) CHECK(is_one_printable_line(problem));
      CHECK_MESSAGE(times <= 8, times << " times the file");
    }
  }
}

TEST_CASE("a question that is asked alone does not keep the text of the others") {
  const TemporaryDirectory dir;
  const std::string path = dir.write("q.jsonl", exams()[7].text);
  start_allocation_meter();
  const auto task = prepare(task_of(path, TaskKind::multiple_choice), {.limit = 1});
  REQUIRE(task.has_value());
  CHECK(allocation_level() < 100'000);
  const auto& documents = task->subtasks[0].documents;
  REQUIRE(documents.size() == 1);
  CHECK(documents[0].question.json ==
        R"({"id":0,"question":"which of these","choices":["aa","bb","cc","dd"],"answer":1})");
  CHECK(task->subtasks[0].original_count > 10'000);
}

TEST_CASE("thousands of questions of a few bytes are refused by number and size, a few thousand are not") {
  const TemporaryDirectory dir;
  const auto load = [&](std::size_t count, std::string_view line) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text.append(line) += '\n';
    return load_questions(dir.write("q.jsonl", text), TaskKind::cloze);
  };
  CHECK(load(4096, "{}").has_value());
  CHECK(load(20'000, R"({"q":"12+30=","a":"42"})").has_value());
  const auto refused = load(20'000, "{}");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("has 20000 questions in 60000 bytes") != std::string::npos);
}

TEST_CASE("more subjects than a report has tables for") {
  const TemporaryDirectory dir;
  const auto prepared = [&](std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i)
      text += fmt::format(R"({{"subject":"{}","choices":["a","b"],"answer":0}})", i) + "\n";
    TaskSpec task = task_of(dir.write("q.jsonl", text), TaskKind::multiple_choice);
    task.subtask_name = "t_{subject}";
    const auto out = prepare(task, {});
    return out ? std::string() : out.error().message;
  };
  CHECK(prepared(4096).empty());
  CHECK(prepared(4097).find("question 'line 4097': subject '4096' is one more than 4096") != std::string::npos);
}

TEST_CASE("whoever asks to stop is heard while questions are read, sorted and prepared") {
  const TemporaryDirectory dir;
  const std::string text = exams()[7].text;
  TaskSpec task = task_of(dir.write("q.jsonl", text), TaskKind::multiple_choice);
  task.subtask_name = "t";
  std::vector<std::string> steps;
  int asked = 0;
  // The whole run first: how often it asks, and for what.
  const auto run = [&](int stop_at) {
    asked = 0;
    steps.clear();
    PrepareOptions options;
    options.hooks.cancelled = [&] { return ++asked == stop_at; };
    options.hooks.on_progress = [&](std::string_view what, std::int64_t done, std::int64_t total) {
      CHECK(done < total);
      if (steps.empty() || steps.back() != what) steps.emplace_back(what);
    };
    return prepare(task, options);
  };
  REQUIRE(run(-1).has_value());
  const int often = asked;
  CHECK(steps == std::vector<std::string>{"reading " + task.data, "preparing t"});
  CHECK(often > 3 * 10'000 / 64);
  for (const int stop_at : {1, often / 2, often}) {
    const auto stopped = run(stop_at);
    REQUIRE_FALSE(stopped.has_value());
    CHECK(stopped.error().code == moe::ErrorCode::cancelled);
    CHECK(asked == stop_at);
  }
}

TEST_CASE("task files take at most 8 times their text") {
  const std::string head =
      R"({"task":"t","type":"generation","questions":"q","prompt":"p","continuation":"c","metrics":["exact_match"],)";
  std::string keys;
  for (std::size_t i = 0; keys.size() < kBytes; ++i) keys += fmt::format("{}\"{:x}\":\"\"", i == 0 ? "" : ",", i);
  std::string groups;
  for (std::size_t i = 0; groups.size() < kBytes; ++i)
    groups += fmt::format(R"({}{{"name":"{:x}","subjects":[]}})", i == 0 ? "" : ",", i);
  const std::vector<std::pair<const char*, std::string>> texts = {
      {"labels", "\"labels\":[" + repeated("\"a\",") + "\"a\"]"},
      {"until", "\"until\":[" + repeated("\"a\",") + "\"a\"]"},
      {"group_by", "\"group_by\":[" + repeated("\"a\",") + "\"a\"]"},
      {"metrics", "\"group_metrics\":[" + repeated("\"a\",") + "\"a\"]"},
      {"steps", R"("filters":[{"name":"f","steps":[)" + repeated(R"({"function":"lowercase"},)") + "{}]}]"},
      {"mapping_dict", R"("filters":[{"name":"f","steps":[{"function":"map","mapping_dict":{)" + keys + "}}]}]"},
      {"titles", R"("subtasks":{"name":"t_{subject}","titles":{)" + keys + "}}"},
      {"groups", R"("subtasks":{"name":"t_{subject}"},"groups":[)" + groups + "]"},
      {"subjects", R"("subtasks":{"name":"t"},"groups":[{"name":"g","subjects":[)" + repeated("\"a\",") + "\"a\"]}]"},
      {"description", "\"description\":\"" + repeated("{a}") + "\""},
      {"one description", "\"description\":\"" + repeated("text ") + "\""},
      {"unknown keys", keys},
  };
  for (const auto& [name, text] : texts) {
    const std::string what = name;
    CAPTURE(what);
    const std::string file = head + text + "}";
    start_allocation_meter();
    const auto read = parse_task(file, "t.json");
    const double times = static_cast<double>(allocation_peak() + file.size()) / static_cast<double>(file.size());
    if (!read) CHECK(is_one_printable_line(read.error().message));
    CHECK(read.has_value() == (std::string_view(name) == "one description"));
    CHECK_MESSAGE(times <= 8, times << " times the text");
  }
}

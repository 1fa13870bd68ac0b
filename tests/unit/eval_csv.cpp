// The CSV folders in which MMLU, CMMLU and C-Eval are published.

#include "eval/tasks/csv.hpp"

#include <filesystem>
#include <fstream>
#include <string>

#include "moe/eval/prompt.hpp"
#include "scratch_dir.hpp"

namespace eval_csv_test {

using namespace moe::eval;

namespace {

struct DataFolder : moe_test::ScratchDir {
  DataFolder() : ScratchDir("moe_csv") {}
};

using Cells = std::vector<std::string>;

moe::Result<std::vector<CsvRow>> parse_csv(std::string_view text) {
  std::vector<CsvRow> rows;
  CsvReader reader(text);
  for (CsvRow row;;) {
    const auto more = reader.next(row);
    if (!more) return moe::forward(more);
    if (!*more) return rows;
    rows.push_back(row);
  }
}

std::string error_of(const std::string& file, const std::string& content) {
  const DataFolder data;
  data.write("test/" + file, content);
  const auto loaded = load_questions((data.dir / "test").string(), TaskKind::multiple_choice);
  return loaded ? "" : loaded.error().message.substr(data.dir.string().size() + 1);
}

}  // namespace

TEST_CASE("CSV as Python's csv module reads it") {
  const auto rows =
      parse_csv("\xef\xbb\xbfplain,\"a, b\",\"say \"\"x\"\"\"\r\n\n\"two\nlines\",, z \n\"\",\"q\"r,s\"t");
  REQUIRE(rows.has_value());
  REQUIRE(rows->size() == 3);
  CHECK((*rows)[0].cells == Cells{"plain", "a, b", "say \"x\""});
  CHECK((*rows)[1].cells == Cells{"two\nlines", "", " z "});
  CHECK((*rows)[1].line == 3);
  CHECK((*rows)[2].cells == Cells{"", "qr", "s\"t"});
  CHECK((*rows)[2].line == 5);
  CHECK(parse_csv("")->empty());
  CHECK(parse_csv("a,b\n\"c").error().message == "2: a quote is never closed");
  CHECK(parse_csv("\n\n").value().empty());
  CHECK(parse_csv("a\n\"b\"").value()[1].cells == Cells{"b"});
  CHECK(parse_csv("a\n" + std::string(63, ',') + "\n").value()[1].cells.size() == 64);
  CHECK(parse_csv("a\n" + std::string(1'000'000, ',')).error().message == "2: more than 64 columns");
}

TEST_CASE("MMLU from its published folder: no header, the answer is a letter") {
  const DataFolder data;
  data.write("test/anatomy_test.csv", "\"Which, of these?\nA line\", 1 ,two,\"3 \"\"x\"\"\",four,C\nNext?,a,b,c,d,A\n");
  data.write("test/virology_test.csv", "Virus?,a,b,c,d,D\n");
  data.write("dev/anatomy_dev.csv", "Shot?,p,q,r,s,B\n");
  data.write("dev/virology_dev.csv", "Shot 2?,p,q,r,s,A\n");
  const auto task = prepare(*load_task("mmlu"), {.data_dir = data.dir.string(), .num_fewshot = 1});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  REQUIRE(task->subtasks.size() == 2);
  CHECK(task->subtasks[0].name == "mmlu_anatomy");
  const Document& first = task->subtasks[0].documents[0];
  CHECK(first.contexts[0] ==
        "The following are multiple choice questions (with answers) about anatomy.\n\nShot?\nA. p\nB. q\nC. r\nD. s\n"
        "Answer: B\n\nWhich, of these?\nA line\nA.  1 \nB. two\nC. 3 \"x\"\nD. four\nAnswer:");
  CHECK(first.target == "2");
  CHECK(first.question.id == "anatomy/test/0");
  CHECK(task->subtasks[0].documents[1].question.line == 3);
  // DATA/questions goes first where both are there.
  data.write("questions/mmlu.jsonl",
             R"({"id":"x","subject":"anatomy","question":"J?","choices":["a","b","c","d"],"answer":0})");
  CHECK(prepare(*load_task("mmlu"), {.data_dir = data.dir.string(), .num_fewshot = 0})->question_count() == 1);
}

TEST_CASE("CMMLU and C-Eval from their published folders: headers name the columns") {
  const DataFolder data;
  data.write("test/anatomy.csv", ",Question,A,B,C,D,Answer\n0,\xe9\x97\xae,w,x,y,z,B\n");
  data.write("val/law_val.csv", "id,question,A,B,C,D,answer\n0,\xe9\x97\xae,w,x,y,z,D\n");
  data.write("dev/law_dev.csv", "id,question,A,B,C,D,answer,explanation\n0,s,w,x,y,z,A,why\n");
  const auto cmmlu = prepare(*load_task("cmmlu"), {.data_dir = data.dir.string()});
  REQUIRE_MESSAGE(cmmlu.has_value(), cmmlu.error().message);
  CHECK(cmmlu->subtasks[0].documents[0].target == "1");
  const auto ceval = prepare(*load_task("ceval"), {.data_dir = data.dir.string(), .num_fewshot = 1});
  REQUIRE_MESSAGE(ceval.has_value(), ceval.error().message);
  CHECK(ceval->subtasks[0].documents[0].target == "3");
  CHECK(ceval->subtasks[0].documents[0].contexts[0].find(
            "s\nA. w\nB. x\nC. y\nD. z\n\xe7\xad\x94\xe6\xa1\x88\xef\xbc\x9a A") != std::string::npos);
}

TEST_CASE("bad CSV files name file and line") {
  CHECK(error_of("a_test.csv", "q,1,2,3,4,A\n\nq,1,2,3,A\n") ==
        "test/a_test.csv:3: the question has 5 columns, expected 6: question, 4 choices, answer");
  CHECK(error_of("a_test.csv", "q,1,2,3,4,E\n") ==
        "test/a_test.csv:1: question 'a/test/0' \"answer\" is 'E', expected a number from 0 to 3 or a letter from A to "
        "D");
  CHECK(
      error_of("a_test.csv", "q,1,2,3,4,\n") ==
      "test/a_test.csv:1: question 'a/test/0' \"answer\" is '', expected a number from 0 to 3 or a letter from A to D");
  CHECK(error_of("a_test.csv", "q,w,x,y,z,b\nq,w,x,y,z, 2 \n").empty());  // as in JSON lines
  CHECK(error_of("a_test.csv", "q,2,1,0,3,1\n").empty());
  CHECK(error_of("a_test.csv", "q,1,2,3,4,1\n").find("names choice 2 and is the text of choice 1") !=
        std::string::npos);
  std::string rows;
  for (int i = 0; i < 20'000; ++i) rows += "q,w,x,A\n";
  CHECK(error_of("a_test.csv", rows).find("questions in 160000 bytes") != std::string::npos);
  CHECK(error_of("a_test.csv", "q,1,,3,4,A\n") == "test/a_test.csv:1: question 'a/test/0' choice 2 is empty");
  CHECK(error_of("a_test.csv", "q,\"1,2,3,4,A\n") == "test/a_test.csv:1: a quote is never closed");
  CHECK(error_of("a_test.csv", "q,\xff,2,3,4,A\n") == "test/a_test.csv:1: the question is not UTF-8");
  CHECK(error_of("a_test.csv", "q,1\n") ==
        "test/a_test.csv:1: 2 columns, expected question, two choices or more, answer");
  CHECK(error_of("notes.txt", "q,1\n") == "test holds no .csv file");
}

}  // namespace eval_csv_test

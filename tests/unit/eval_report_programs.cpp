// moe-eval writes a report beside run.json, and `moe-eval report` makes it again from run.json alone.

#include <nlohmann/json.hpp>

#include "program.hpp"

namespace eval_report_programs_test {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using moe_test::check_one_line;
using moe_test::ProgramOutcome;

const std::string kModel = std::string(MOE_SOURCE_DIR) + "/tests/data/golden/qwen3_moe";

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_report_programs") {}
  ProgramOutcome run(const std::vector<std::string>& arguments) const {
    return moe_test::run_program(*this, "MOE_THREADS=1", MOE_EVAL, arguments);
  }
  // Questions in two subjects.
  std::string exam(int count) const {
    std::string exam;
    for (int i = 0; i < count; ++i)
      exam += Json{{"id", i},
                   {"question", "q" + std::to_string(i * 37)},
                   {"choices", {"a" + std::to_string(i), "b"}},
                   {"answer", i % 2},
                   {"subject", i % 3 == 0 ? "red" : "blue"}}
                  .dump() +
              "\n";
    return write("exam.jsonl", exam);
  }
  // Asked with one and with two experts.
  ProgramOutcome ask(const std::string& out) const {
    return run({"--model", "m=" + kModel, "--tasks", exam(60), "--sweep", "top_k=1,2", "--out", out});
  }
};

}  // namespace

TEST_CASE("a run writes its report; report makes the same bytes again, alone and beside others") {
  const Scratch s;
  const ProgramOutcome asked = s.ask(s / "out");
  REQUIRE_MESSAGE(asked.status == 0, asked.err);
  const Json run = Json::parse(moe_test::read_file(s / "out/run.json"));
  CHECK(run["command"][1] == "--model");
  CHECK(run["libmoe_version"].is_string());
  const Json& gap = run["comparisons"][0];
  CHECK(gap["questions"] == 60);
  CHECK(gap["by"]["subject"].size() == 2);
  // What the gap by subject says is what the whole says.
  std::int64_t only_a = 0, questions = 0;
  for (const Json& row : gap["by"]["subject"]) {
    only_a += row["only_a"].get<std::int64_t>(), questions += row["questions"].get<std::int64_t>();
    CHECK(row["p_holm"].get<double>() >= row["p_mcnemar"].get<double>());
  }
  CHECK(only_a == gap["only_a"]);
  CHECK(questions == 60);
  const Json& task = run["models"][0]["tasks"][0];
  CHECK(task["interval_95"][0] < task["accuracy"]);
  CHECK(task["interval_95"][1] > task["accuracy"]);
  // All sixty right or wrong, and sixty are few: the interval is Wilson's, never a point.
  CHECK(task["interval_95"][1].get<double>() - task["interval_95"][0].get<double>() > 0.1);
  const double bytes =
      run["models"][0]["weight_bytes_per_token"].get<double>() * task["model_tokens"].get<double>() / 60;
  CHECK(task["weight_bytes_per_question"].get<double>() == doctest::Approx(bytes));

  const std::string html = moe_test::read_file(s / "out/report.html"), csv = moe_test::read_file(s / "out/report.csv");
  CHECK(html.starts_with("<!DOCTYPE html>"));
  // From the folder, the bytes are the same but for the file's name.
  fs::current_path(s.dir / "out");
  const ProgramOutcome again = s.run({"report", "run.json", "--out", s / "again"});
  REQUIRE_MESSAGE(again.status == 0, again.err);
  for (const char* name : {"report.html", "report.md", "report.csv"})
    CHECK(moe_test::read_file(s.dir / "again" / name) == moe_test::read_file(s.dir / "out" / name));
  CHECK(again.out.find("again/report.html") != std::string::npos);
  const ProgramOutcome both = s.run({"report", s / "out", s / "out/run.json", "--out", s / "both"});
  REQUIRE_MESSAGE(both.status == 0, both.err);
  CHECK(moe_test::read_file(s / "both/report.html").find("m[top_k=1] (run 2)") != std::string::npos);
  // Without a word about where, beside the first run.
  fs::remove(s.dir / "out/report.md");
  CHECK(s.run({"report", s / "out"}).status == 0);
  CHECK(fs::exists(s.dir / "out/report.md"));
  fs::current_path("/");
}

TEST_CASE("without gnuplot on PATH the report has tables, and the program says so") {
  const Scratch s;
  REQUIRE(s.ask(s / "out").status == 0);
  const auto got = moe_test::run_program(s, "PATH=" + moe_test::shell_quoted(s / "empty"), MOE_EVAL,
                                         {"report", s / "out", "--out", s / "bare", "--svg", s / "p.svg"});
  CHECK(got.status == 1);  // a picture that was asked for by name
  CHECK(got.err.find("p.svg: there is no picture: gnuplot is not installed") != std::string::npos);
  CHECK_FALSE(fs::exists(s.dir / "p.svg"));
  CHECK(got.err.find("note: no pictures: gnuplot is not installed") != std::string::npos);
  const std::string html = moe_test::read_file(s / "bare/report.html");
  CHECK(html.find("<svg") == std::string::npos);
  CHECK(html.find("This report has no pictures: gnuplot is not installed.") != std::string::npos);
}

TEST_CASE("a store keeps each finished evaluation, and reports it without its files") {
  const Scratch s;
  const std::string exam = s.exam(2);
  const auto ask = [&](const std::string& top_k, const std::string& out) {
    return s.run({"--model", "m=" + kModel, "--tasks", exam, "--top-k", top_k, "--cache", s / "runs.db", "--out", out});
  };
  REQUIRE(ask("1", s / "one").status == 0);
  const ProgramOutcome second = ask("2", s / "two");
  REQUIRE_MESSAGE(second.status == 0, second.err);
  const ProgramOutcome last = s.run({"report", "--cache", s / "runs.db", "--out", s / "last"});
  REQUIRE_MESSAGE(last.status == 0, last.err);
  const auto numbers_of = [&](const std::string& folder) {  // all but the file's name
    std::string csv = moe_test::read_file(s.dir / folder / "report.csv");
    for (const std::string& name : {s / "runs.db#2", s / "runs.db#1", std::string("run.json")})
      for (std::size_t at; (at = csv.find(name)) != std::string::npos;) csv.erase(at, name.size());
    return csv;
  };
  CHECK(numbers_of("last") == numbers_of("two"));
  REQUIRE(s.run({"report", "1", "--cache", s / "runs.db", "--out", s / "first"}).status == 0);
  CHECK(numbers_of("first") == numbers_of("one"));
  CHECK(numbers_of("first") != numbers_of("two"));
  CHECK(s.run({"report", "1", "2", "--cache", s / "runs.db", "--out", s / "both"}).status == 0);
  const ProgramOutcome none = s.run({"report", "3", "--cache", s / "runs.db", "--out", s / "none"});
  check_one_line(none, 1, "RUN is '3', expected a whole number from 1 to 2; ");
  CHECK(none.err.find("has 1 (20") != std::string::npos);
  check_one_line(s.run({"report", "--cache", s / "absent.db"}), 1, "absent.db");
}

TEST_CASE("what a run cost stands in run.json: by subject, beside a reference, on this machine") {
  const Scratch s;
  const std::vector<std::string> asked = {"--model", "m=" + kModel, "--tasks", s.exam(40), "--sweep", "top_k=1,2,4"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), asked.begin(), asked.end());
    return s.run(more);
  };
  const ProgramOutcome got = with({"--out", s / "out", "--peaks", "--verbose", "--reference", "m[top_k=1],m[top_k=4]"});
  REQUIRE_MESSAGE(got.status == 0, got.err);
  CHECK(got.out.find("This machine at its best, 1 thread: ") != std::string::npos);
  const Json run = Json::parse(moe_test::read_file(s / "out/run.json"));
  CHECK(run["machine_peaks"]["float_operations_per_second"].get<double>() > 1e8);
  for (const Json& model : run["models"]) {
    const Json& task = model["tasks"][0];
    CHECK(task["compute_multiplier"]["reference"] == Json({"m[top_k=1]", "m[top_k=4]"}));
    std::int64_t flops = 0;
    for (const Json& row : task["by"]["subject"]) flops += row["model_flops"].get<std::int64_t>();
    CHECK(flops == task["model_flops"]);
    // A number, or honestly none.
    CHECK((task["joules"].is_null() || task["joules"].get<double>() >= 0));
  }
  const std::string page = moe_test::read_file(s / "out/report.html");
  CHECK(page.find("what m[top_k=1], m[top_k=4] would spend for this accuracy") != std::string::npos);
  CHECK(page.find("GFLOPs / question, m[top_k=2]") != std::string::npos);
  CHECK(page.find("GB/s out of memory") != std::string::npos);

  check_one_line(with({"--reference", "m[top_k=1],other"}), 1, "no model 'other'; there are m[top_k=1], m[top_k=2]");
  check_one_line(with({"--reference", "m[top_k=1],m[top_k=1]"}), 1, "model 'm[top_k=1]' is given twice");
}

TEST_CASE("behind a subcommand, a folder may be called like another one") {
  const Scratch s;
  REQUIRE(s.ask(s / "index").status == 0);
  fs::copy(s.dir / "index", s.dir / "search", fs::copy_options::recursive);
  fs::current_path(s.dir);
  const ProgramOutcome one = s.run({"report", "index", "--out", s / "one"});
  const ProgramOutcome two = s.run({"report", "index", "search", "--out", s / "two"});
  fs::current_path("/");
  REQUIRE_MESSAGE(one.status == 0, one.err);
  REQUIRE_MESSAGE(two.status == 0, two.err);
  CHECK(fs::exists(s.dir / "one/report.csv"));
  CHECK(moe_test::read_file(s / "two/report.html").find("m[top_k=1] (run 2)") != std::string::npos);
  check_one_line(s.run({"history", "index", "--cache", s / "runs.db"}), 2, "index");
}

TEST_CASE("what report cannot read or must not overwrite") {
  const Scratch s;
  check_one_line(s.run({"report", s / "absent"}), 1, "absent");
  check_one_line(s.run({"report", s.write("bad.json", "{\"format\": 1}")}), 1, "bad.json: format is '1', expected");
  fs::create_directory(s.dir / "folder");
  check_one_line(s.run({"report", s / "folder"}), 1, "folder/run.json");
  check_one_line(s.run({"report", s.write("report.csv", "{}")}), 1, "is read as well");
  CHECK(moe_test::read_file(s / "report.csv") == "{}");
  const std::string two = s.write("two/run.json", "{}");
  check_one_line(s.run({"report", two, "--out", s / "o", "--svg", two}), 1, "is read as well");
  check_one_line(s.run({"report", two, "--out", s / "o", "--svg", s / "o/report.html"}), 1, "is a file of the report");
  check_one_line(s.run({"report", two, "--svg", s / "two/report.csv"}), 1, "is a file of the report");
  CHECK(s.run({"report"}).status == 2);
  CHECK(s.run({"report", "--help"}).out.find("run.json") != std::string::npos);
  // Names that a report has taken.
  check_one_line(s.run({"--model", "report.html=" + kModel, "--tasks",
                        std::string(MOE_SOURCE_DIR) + "/tests/data/stand_in_exam.jsonl"}),
                 1, "model 'report.html'");
}

}  // namespace eval_report_programs_test

// moe-eval index: the built-in table or another one, with runs, files, and errors.

#include <nlohmann/json.hpp>

#include "program.hpp"
#include "run_text.hpp"

namespace eval_index_programs_test {

namespace {

namespace fs = std::filesystem;
using moe_test::check_one_line;
using moe_test::ProgramOutcome;
using moe_test::RunJson;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_index_programs") {}
  ProgramOutcome run(const std::vector<std::string>& arguments) const {
    return moe_test::run_program(*this, "MOE_THREADS=1", MOE_EVAL, arguments);
  }
  std::string run_file(const std::string& name, const std::string& task) const {
    RunJson run = moe_test::run_json("mine", "yours");
    for (RunJson& model : run["models"]) model["tasks"][0]["task"] = task;
    run["comparisons"] = RunJson::array();
    return write(name, run.dump());
  }
};

const std::string kTable = std::string(MOE_SOURCE_DIR) + "/bench/ai_index.csv";

}  // namespace

TEST_CASE("the built-in table is bench/ai_index.csv, wherever the program stands") {
  const Scratch s;
  fs::current_path(s.dir);
  const ProgramOutcome own = s.run({"index"}), named = s.run({"index", "--csv", kTable});
  fs::current_path("/");
  REQUIRE_MESSAGE(own.status == 0, own.err);
  CHECK(own.err.empty());
  CHECK(own.out.find("17.5 points (end of 2023) are real, 0.3 points (end of 2024) are not distinguishable") !=
        std::string::npos);
  const auto behind_subtitle = [](const std::string& text) { return text.substr(text.find("\n\n")); };
  CHECK(behind_subtitle(own.out) == behind_subtitle(named.out));
}

TEST_CASE("runs stand beside the table; files are written where they are asked for") {
  const Scratch s;
  const std::string run = s.run_file("run/run.json", "mmlu");
  const ProgramOutcome got = s.run({"index", s / "run", "--out", s / "out", "--svg", s / "p.svg"});
  REQUIRE_MESSAGE(got.status == 0, got.err);
  CHECK(got.out.find("Measured by moe-eval") != std::string::npos);
  const std::string html = moe_test::read_file(s / "out/index.html"), md = moe_test::read_file(s / "out/index.md");
  CHECK(html.starts_with("<!DOCTYPE html>"));
  CHECK(html.find("Made from a published table and run.json by moe-eval index.") != std::string::npos);
  CHECK(md.starts_with("# MMLU against compute, published and measured\n"));
  CHECK(moe_test::read_file(s / "p.svg").starts_with("<svg xmlns="));
  // Without gnuplot: tables, and a word.
  const auto bare = moe_test::run_program(s, "PATH=" + moe_test::shell_quoted(s / "empty"), MOE_EVAL,
                                          {"index", run, "--out", s / "bare", "--svg", s / "none.svg"});
  CHECK(bare.status == 1);  // a picture that was asked for by name
  CHECK(bare.err.find("note: no picture: gnuplot is not installed") != std::string::npos);
  CHECK(bare.err.find("none.svg: there is no picture: gnuplot is not installed") != std::string::npos);
  CHECK(bare.out == got.out);
  CHECK(moe_test::read_file(s / "bare/index.html").find("This page has no picture: gnuplot is not installed.") !=
        std::string::npos);
}

TEST_CASE("what index cannot read or must not overwrite") {
  const Scratch s;
  check_one_line(s.run({"index", s / "absent"}), 1, "absent");
  check_one_line(s.run({"index", s.run_file("arc.json", "arc_easy")}), 1,
                 "arc.json: the run asked 'arc_easy', expected a task whose name begins with mmlu");
  check_one_line(s.run({"index", "--csv", s.write("bad.csv", "model\n")}), 1,
                 "bad.csv:1: the header has 1 columns, expected 14");
  check_one_line(s.run({"index", "--csv", s / "absent.csv"}), 1, "absent.csv");
  const std::string table = s.write("index.md", moe_test::read_file(kTable));
  check_one_line(s.run({"index", "--csv", table, "--out", s / ""}), 1, "is read as well");
  check_one_line(s.run({"index", "--csv", table, "--svg", table}), 1, "is read as well");
  check_one_line(s.run({"index", "--out", s / "o", "--svg", s / "o/index.html"}), 1, "is a file of --out");
  CHECK(moe_test::read_file(table) == moe_test::read_file(kTable));
  CHECK(s.run({"index", "--csv", ""}).status == 2);
  CHECK(s.run({"index", "--help"}).out.find("moe-eval index runs/mine --out index") != std::string::npos);
}

}  // namespace eval_index_programs_test

// moe-eval --until-known and --families, as a script sees them.

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.hpp"

namespace eval_until_known_programs_test {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using moe_test::check_one_line;
using moe_test::ProgramOutcome;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_until_known_programs") {}
};

const std::string kNano = std::string(MOE_SOURCE_DIR) + "/models/nano/";
// Two that are told apart soon, and two that are not.
const std::vector<std::string> kFar = {"--model", "moe=" + kNano + "nano-moe", "--model",
                                       "dense=" + kNano + "nano-dense-flops"};
const std::vector<std::string> kNear = {"--model", "moe=" + kNano + "nano-moe", "--model", "two=" + kNano + "nano-moe"};

ProgramOutcome asked(const Scratch& s, const std::vector<std::string>& models, const std::vector<std::string>& more,
                     const std::string& environment = "MOE_THREADS=1") {
  std::vector<std::string> all = models;
  all.insert(all.end(), {"--tasks", kNano + "nano_exam.jsonl"});
  all.insert(all.end(), more.begin(), more.end());
  return moe_test::run_program(s, environment, MOE_EVAL, all);
}

Json run_file(const fs::path& folder) { return Json::parse(moe_test::read_file(folder / "run.json")); }

// What was decided and asked, without what this run computed itself.
Json known_of(const fs::path& folder) {
  Json known = run_file(folder)["until_known"];
  for (Json& model : known["models"]) model.erase("executed_flops");
  return known;
}

// The lines of a model's samples by their questions.
std::map<int, std::string> samples(const fs::path& folder) {
  std::map<int, std::string> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with("samples_")) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) out[Json::parse(line)["doc_id"].get<int>()] = line;
  }
  return out;
}

}  // namespace

TEST_CASE("samples of the questions that were asked are those of a run that asks all") {
  const Scratch s;
  const auto all = asked(s, kFar, {"--limit", "1000", "--out", s / "all"}),
             known = asked(s, kFar, {"--limit", "1000", "--until-known", "--out", s / "known"});
  REQUIRE_MESSAGE(all.status == 0, all.err);
  REQUIRE_MESSAGE(known.status == 0, known.err);
  CHECK(known.out.starts_with("moe is better than dense by "));
  const Json found = run_file(s.dir / "known")["until_known"];
  CHECK(found["pairs"][0]["verdict"] == "a_better");
  CHECK(found["questions_of_all"] == 1000);
  for (const std::size_t m : {0, 1}) {
    const auto name = found["models"][m]["name"].get<std::string>();
    const auto whole = samples(s.dir / "all" / name), part = samples(s.dir / "known" / name);
    CHECK(whole.size() == 1000);
    CHECK(part.size() == found["models"][m]["questions"]);
    CHECK(part.size() < 600);
    for (const auto& [question, line] : part) CHECK(line == whole.at(question));
    const Json task = run_file(s.dir / "known")["models"][m]["tasks"][0];
    CHECK(task["skipped_questions"] == 2167 - part.size());
    CHECK(task["model_flops"] == found["models"][m]["model_flops"]);
    CHECK(task["experts"].is_null() == (m == 1));
  }
  const std::string page = moe_test::read_file(s.dir / "known" / "report.html");
  for (const char* words : {"moe is better than dense by", "questions were asked", "saved (estimate)", "hold together",
                            "Rows by subject are partial"})
    CHECK_MESSAGE(page.find(words) != std::string::npos, words);
}

TEST_CASE("a run that was killed goes on to the same end") {
  const Scratch s;
  const std::vector<std::string> how = {"--until-known", "--limit", "500", "--cache"};
  const auto with = [&](const std::string& cache, const std::string& out) {
    std::vector<std::string> more = how;
    more.insert(more.end(), {s / cache, "--out", s / out});
    return more;
  };
  REQUIRE(asked(s, kFar, with("whole.db", "whole")).status == 0);
  // However far it comes.
  for (const char* seconds : {"0.15", "0.3"})
    asked(s, kFar, with("killed.db", "killed"), std::string("MOE_THREADS=1 timeout -s KILL ") + seconds);
  fs::remove_all(s.dir / "killed");
  REQUIRE(asked(s, kFar, with("killed.db", "killed")).status == 0);
  CHECK(known_of(s.dir / "killed") == known_of(s.dir / "whole"));
  for (const char* name : {"moe", "dense"}) CHECK(samples(s.dir / "killed" / name) == samples(s.dir / "whole" / name));
  // Goes on from other questions in other batches.
  REQUIRE(asked(s, kFar, {"--limit", "200", "--cache", s / "part.db"}).status == 0);
  REQUIRE(asked(s, kFar, with("part.db", "part")).status == 0);
  CHECK(known_of(s.dir / "part") == known_of(s.dir / "whole"));
  CHECK(samples(s.dir / "part" / "moe") == samples(s.dir / "whole" / "moe"));
  // All out of the cache: nothing is computed.
  REQUIRE(asked(s, kFar, with("killed.db", "again")).status == 0);
  CHECK(run_file(s.dir / "again")["until_known"]["models"][0]["executed_flops"] == 0);
  // More than was asked: the cache is the same as that of a plain run.
  std::vector<std::string> plain = {"--limit", "500", "--cache", s / "killed.db", "--out", s / "plain"};
  REQUIRE(asked(s, kFar, plain).status == 0);
  const auto part = samples(s.dir / "killed" / "moe"), whole = samples(s.dir / "plain" / "moe");
  CHECK(whole.size() == 500);
  for (const auto& [question, line] : part) CHECK(line == whole.at(question));
}

TEST_CASE("models that are the same: equal at the margin, or not known") {
  const Scratch s;
  const auto equal = asked(s, kNear, {"--until-known", "--margin", "5", "--out", s / "equal"});
  REQUIRE_MESSAGE(equal.status == 0, equal.err);
  CHECK(equal.out.starts_with("moe and two are equal within \u00B15 points"));
  const Json known = run_file(s.dir / "equal")["until_known"];
  CHECK(known["margin"] == 0.05);
  CHECK(known["pairs"][0]["verdict"] == "equal");
  CHECK(known["questions"] < 1000);
  const auto open = asked(s, kNear, {"--until-known", "--limit", "100"});
  CHECK(open.out.starts_with("moe and two: not known after all 100 questions"));
}

TEST_CASE("replies are compared as well") {
  const Scratch s;
  std::ofstream(s / "replies.jsonl") << R"({"question": "a", "choices": ["x", "y"], "answer": 0})"
                                     << "\n"
                                     << R"({"question": "b", "choices": ["x", "y"], "answer": 1})"
                                     << "\n";
  std::ofstream(s / "replies.json") << R"({"task": "replies", "type": "generation", "questions": "./replies.jsonl",
    "prompt": "{question}", "continuation": "{choice}", "until": ["\n"], "max_tokens": 3, "metrics": ["exact_match"]})";
  const auto done = moe_test::run_program(
      s, "MOE_THREADS=1", MOE_EVAL,
      {"--model", "m=" + kNano + "nano-moe", "--tasks", s / "replies.json", "--sweep", "top_k=1,4", "--until-known"});
  REQUIRE_MESSAGE(done.status == 0, done.err);
  CHECK(done.out.starts_with("m[top_k=1] and m[top_k=4]: not known after all 2 questions"));
}

TEST_CASE("what --until-known cannot do is said before the first question") {
  const Scratch s;
  const std::vector<std::string> one = {kFar[0], kFar[1]};
  check_one_line(asked(s, one, {"--until-known"}), 1, "--until-known: 1 model to compare; expected at least 2");
  check_one_line(asked(s, kFar, {"--until-known", "--families", "A=moe", "--families", "B=dense"}), 1,
                 "--until-known: --families compares models on all questions");
  check_one_line(asked(s, kFar, {"--alpha", "0.1"}), 2, "--alpha requires --until-known");
  check_one_line(asked(s, kFar, {"--margin", "2"}), 2, "--margin requires --until-known");
  check_one_line(asked(s, kFar, {"--until-known", "--alpha", "0"}), 2, "--alpha is '0', expected a number above 0");
  check_one_line(asked(s, kFar, {"--until-known", "--margin", "101"}), 2, "--margin is '101'");
  check_one_line(asked(s, one, {"--until-known", "search"}), 2, "without --until-known and --families");
  std::ofstream(s / "texts.jsonl") << R"({"question": "a text"})"
                                   << "\n";
  std::ofstream(s / "texts.json") << R"({"task": "texts", "type": "rolling", "questions": "./texts.jsonl",
    "continuation": "{question}", "metrics": ["word_perplexity"]})";
  std::vector<std::string> texts = kFar;
  texts.insert(texts.end(), {"--tasks", s / "texts.json", "--until-known"});
  check_one_line(moe_test::run_program(s, "MOE_THREADS=1", MOE_EVAL, texts), 1,
                 "--until-known: task 'texts': its answers are not right or wrong");
}

TEST_CASE("families: the best of each, by the models' names on the command line") {
  const Scratch s;
  std::vector<std::string> models = kFar;
  models.insert(models.end(), {"--sweep", "top_k=1,4", "--limit", "300"});
  models.erase(models.begin() + 2, models.begin() + 4);  // a dense model has no top_k
  models.insert(models.end(), {"--model", "b,c=" + kNano + "nano-moe"});
  const auto done = asked(
      s, models, {"--families", "US=moe[top_k=1],moe[top_k=4]", "--families", "CN=b,c[top_k=1]", "--out", s / "out"});
  // A comma outside of brackets always parts two names.
  check_one_line(done, 1, "no model 'b'; there are moe[top_k=1], moe[top_k=4], b,c[top_k=1], b,c[top_k=4]");
  models.back() = "c=" + kNano + "nano-moe";
  const auto compared = asked(
      s, models, {"--families", "US=moe[top_k=1],moe[top_k=4]", "--families", "CN=c[top_k=1]", "--out", s / "out"});
  REQUIRE_MESSAGE(compared.status == 0, compared.err);
  CHECK(compared.out.find("nano_exam: US (best: moe[top_k=4]) is better than CN (best: c[top_k=1])") !=
        std::string::npos);
  const Json gap = run_file(s.dir / "out")["family_gaps"][0];
  CHECK(gap["models_a"] == Json({"moe[top_k=1]", "moe[top_k=4]"}));
  CHECK(gap["best_a"] == "moe[top_k=4]");
  CHECK(gap["replicates"] == 10000);
  CHECK(gap["distinguishable"] == true);
  CHECK(gap["interval_95"][0] > 0);
  CHECK(gap["gap"].get<double>() > 0.05);
  CHECK(moe_test::read_file(s.dir / "out" / "report.md").find("Best of A against best of B") != std::string::npos);
}

TEST_CASE("families and one question: no interval can be had, and the run is whole") {
  const Scratch s;
  std::vector<std::string> models = kFar;
  models.insert(models.end(), {"--limit", "1"});
  const auto done = asked(s, models, {"--families", "A=moe", "--families", "B=dense", "--out", s / "out"});
  REQUIRE_MESSAGE(done.status == 0, done.err);
  CHECK(run_file(s.dir / "out").value("family_gaps", Json::array()).empty());
  CHECK(fs::exists(s.dir / "out" / "report.md"));
}

TEST_CASE("search takes no option that it would not look at") {
  const Scratch s;
  const std::vector<std::string> one = {kFar[0], kFar[1]};
  check_one_line(asked(s, one, {"--baseline", "moe", "search"}), 2, "without --reference and --baseline");
  check_one_line(asked(s, one, {"--verbose", "search"}), 2, "has no --peaks and no --verbose");
}

TEST_CASE("a second word behind --families is no value of it") {
  const Scratch s;
  check_one_line(asked(s, kFar, {"--families", "A=moe", "B=dense"}), 2, "B=dense");
}

TEST_CASE("families that are none") {
  const Scratch s;
  const std::string there = "there are moe, dense";
  check_one_line(asked(s, kFar, {"--families", "A=moe", "--families", "B=none"}), 1, "no model 'none'; " + there);
  check_one_line(asked(s, kFar, {"--families", "A=", "--families", "B=moe"}), 1, "no model ''; " + there);
  check_one_line(asked(s, kFar, {"--families", "A=moe"}), 1, "--families A=moe: one family alone");
  check_one_line(asked(s, kFar, {"--families", "A=moe", "--families", "B=moe"}), 1, "stands in family 'A' already");
  check_one_line(asked(s, kFar, {"--families", "A=moe", "--families", "A=dense"}), 1, "family 'A' is named twice");
  check_one_line(asked(s, kFar, {"--families", "moe"}), 1, "--families moe: expected NAME=MODEL,MODEL");
}

}  // namespace eval_until_known_programs_test

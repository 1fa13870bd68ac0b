// moe-eval's router settings, its statistics of experts, and its search, run as by a script.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program.hpp"

namespace eval_expert_programs_test {

namespace {

using Json = nlohmann::json;
using moe_test::check_one_line;
using moe_test::ProgramOutcome;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_expert_programs") {}
};

const std::string kModel =
    std::string(MOE_SOURCE_DIR) + "/models/nano/nano-moe";  // two MoE layers, 4 of 64 experts in groups
const std::string kExam = std::string(MOE_SOURCE_DIR) + "/models/nano/nano_exam.jsonl";

ProgramOutcome asked(const Scratch& s, std::vector<std::string> more) {
  std::vector<std::string> all = {"--model", "m=" + kModel, "--tasks", kExam};
  if (std::find(more.begin(), more.end(), "--limit") == more.end()) all.insert(all.end(), {"--limit", "20"});
  all.insert(all.end(), more.begin(), more.end());
  return moe_test::run_program(s, "MOE_THREADS=1", MOE_EVAL, all);
}

Json run_file(const Scratch& s, std::vector<std::string> more) {
  more.insert(more.end(), {"--out", s / "out"});
  const auto done = asked(s, std::move(more));
  REQUIRE_MESSAGE(done.status == 0, done.err);
  return Json::parse(moe_test::read_file(s.dir / "out" / "run.json"));
}

std::int64_t sum_of(const Json& counts) {
  std::int64_t sum = 0;
  for (const Json& layer : counts)
    for (const Json& count : layer) sum += count.get<std::int64_t>();
  return sum;
}

}  // namespace

TEST_CASE("run.json: the setting, and which experts each layer and subject used") {
  const Scratch s;
  const Json model = run_file(s, {"--top-k", "4,2", "--expert-mass", "0.7", "--limit", "2167"})["models"][0];
  CHECK(model["name"] == "m[top_k=4,2][expert_mass=0.7]");
  CHECK(model["top_k"] == 4);
  CHECK(model["layer_top_k"] == Json({4, 2}));
  CHECK(model["expert_mass"] == 0.7);
  CHECK(model["expert_mass_variant"] == "renormalised");
  const Json& task = model["tasks"][0];
  const Json& experts = task["experts"];
  CHECK(experts["layers"] == Json({1, 2}));
  CHECK(experts["tokens"] == task["executed"]["tokens"]);
  REQUIRE(experts["counts"].size() == 2);
  CHECK(experts["counts"][0].size() == 64);
  const std::int64_t chosen = sum_of(experts["counts"]), tokens = experts["tokens"].get<std::int64_t>();
  CHECK(task["executed"]["routed_experts"] == chosen * 6 * 96 * 32);
  CHECK(task["mean_experts_per_token"].get<double>() ==
        doctest::Approx(static_cast<double>(chosen) / static_cast<double>(2 * tokens)).epsilon(1e-12));
  CHECK(task["mean_experts_per_token"].get<double>() < 3.0);
  for (const Json& bits : experts["entropy_bits"]) CHECK((bits > 0.0 && bits <= 6.0));
  std::int64_t by_subject = 0, subject_tokens = 0;
  for (const Json& subject : experts["subjects"]) {
    by_subject += sum_of(subject["counts"]);
    subject_tokens += subject["tokens"].get<std::int64_t>();
  }
  CHECK(experts["subjects"].size() == 11);
  CHECK(by_subject == chosen);
  CHECK(subject_tokens == tokens);
}

TEST_CASE("settings have keys of their own in the store; stored answers keep their exact FLOPs") {
  const Scratch s;
  const std::vector<std::vector<std::string>> settings = {{},
                                                          {"--top-k", "4,3"},
                                                          {"--top-k", "3,4"},
                                                          {"--expert-mass", "0.5"},
                                                          {"--expert-mass", "0.6"},
                                                          {"--expert-mass", "0.5", "--expert-mass-variant", "plain"}};
  std::vector<Json> fresh;
  for (auto setting : settings) {
    setting.insert(setting.end(), {"--cache", s / "c.db"});
    fresh.push_back(run_file(s, setting)["models"][0]["tasks"][0]);
    CHECK(fresh.back()["executed"]["tokens"] > 0);
  }
  for (std::size_t i = 0; i < settings.size(); ++i) {
    auto setting = settings[i];
    setting.insert(setting.end(), {"--cache", s / "c.db"});
    const Json again = run_file(s, setting)["models"][0]["tasks"][0];
    CHECK(again["executed"]["tokens"] == 0);
    CHECK(again["experts"].is_null());
    CHECK(again["mean_experts_per_token"].is_null());
    CHECK(again["model_flops"] == fresh[i]["model_flops"]);
    CHECK(again["rows"] == fresh[i]["rows"]);
  }
  CHECK(fresh[3]["model_flops"] < fresh[4]["model_flops"]);
  // Two ways to write one setting share their answers.
  const auto same = run_file(s, {"--top-k", "4,4", "--cache", s / "c.db"});
  CHECK(same["models"][0]["tasks"][0]["executed"]["tokens"] == 0);
  const auto list = moe_test::run_program(s, "", MOE_EVAL, {"history", "--cache", s / "c.db"});
  CHECK_MESSAGE(list.out.find("top_k=4 expert_mass=0.5 plain") != std::string::npos, list.out);
}

TEST_CASE("sweeps multiply; what contradicts itself is a wrong usage") {
  const Scratch s;
  const auto grid = run_file(s, {"--sweep", "top_k=2,4", "--sweep", "expert_mass=0.5,1"});
  REQUIRE(grid["models"].size() == 4);
  CHECK(grid["models"][0]["name"] == "m[top_k=2][expert_mass=0.5]");
  CHECK(grid["models"][3]["name"] == "m[top_k=4][expert_mass=1]");
  CHECK(grid["models"][3]["expert_mass"].is_null());
  check_one_line(asked(s, {"--sweep", "top_k=2", "--sweep", "top_k=4"}), 2, "top_k is given twice");
  check_one_line(asked(s, {"--sweep", "expert_mass=0.5,0.50"}), 2, "is the setting of");
  check_one_line(asked(s, {"--sweep", "expert_mass=0.5", "--expert-mass", "0.6"}), 2, "--expert-mass says something");
  check_one_line(asked(s, {"--sweep", "expert_mass=0"}), 2, "expert_mass is '0', expected a number above 0");
  check_one_line(asked(s, {"--expert-mass", "1.5"}), 2, "--expert-mass is '1.5'");
  check_one_line(asked(s, {"--expert-mass-variant", "plain"}), 2, "needs --expert-mass");
  check_one_line(asked(s, {"--expert-mass", "0.5", "--expert-mass-variant", "both"}), 2, "renormalised or plain");
  check_one_line(asked(s, {"--top-k", "4,"}), 2, "--top-k is ''");
  check_one_line(asked(s, {"--top-k", "4,4,4"}), 1, "3 numbers, expected 1 or 2");
  check_one_line(asked(s, {"--top-k", "4,65"}), 1, "top_k of layer 2 is 65, expected 1..32");
}

TEST_CASE("a sweep of experts runs and lists a dense model once, with one word") {
  const Scratch s;
  const std::string dense = std::string(MOE_SOURCE_DIR) + "/models/nano/nano-dense-flops";
  const auto names = [](const Json& run) {
    std::vector<std::string> out;
    for (const Json& model : run["models"]) out.push_back(model["name"].get<std::string>());
    return out;
  };
  CHECK(names(run_file(s, {"--model", "d=" + dense, "--sweep", "top_k=2,4", "--sweep", "expert_mass=0.5,1"})) ==
        std::vector<std::string>{"m[top_k=2][expert_mass=0.5]", "m[top_k=2][expert_mass=1]",
                                 "m[top_k=4][expert_mass=0.5]", "m[top_k=4][expert_mass=1]", "d[dense]"});
  CHECK(names(run_file(s, {"--model", "d=" + dense, "--sweep", "kv=f16,f32", "--sweep", "top_k=4"})) ==
        std::vector<std::string>{"m[kv=f16][top_k=4]", "m[kv=f32][top_k=4]", "d[dense][kv=f16]", "d[dense][kv=f32]"});
  // Dense models alone are still refused, and so are values that are not numbers.
  const auto alone = moe_test::run_program(
      s, "MOE_THREADS=1", MOE_EVAL, {"--model", dense, "--tasks", kExam, "--limit", "2", "--sweep", "top_k=2,4"});
  check_one_line(alone, 1, "dense");
  check_one_line(asked(s, {"--model", "d=" + dense, "--sweep", "top_k=2,x"}), 2, "top_k is 'x'");
}

TEST_CASE("search: a setting within the budget, the verdict on the other half of the questions") {
  const Scratch s;
  const auto found = asked(s, {"search", "--budget", "0.95"});
  REQUIRE_MESSAGE(found.status == 0, found.err);
  CHECK_MESSAGE(found.out.find("search on 10 of 20 questions") != std::string::npos, found.out);
  CHECK(found.out.find("Verdict, on 10 questions that the search did not see") != std::string::npos);
  CHECK(found.out.find("To run it: --top-k ") != std::string::npos);
  // Through a store it is the same, the second time out of it.
  for (int i = 0; i < 2; ++i) {
    const auto again = asked(s, {"search", "--budget", "0.95", "--cache", s / "c.db"});
    CHECK(again.out == found.out);
  }
  CHECK(asked(s, {"--seed", "7", "search", "--budget", "0.95"}).out != found.out);
  check_one_line(asked(s, {"search", "--budget", "0.1"}), 1, "--budget 0.1 is out of reach");
  check_one_line(asked(s, {"search", "--budget", "0"}), 2, "--budget is '0'");
  check_one_line(asked(s, {"search", "--sweep", "kv=f16,f32"}), 2, "without --sweep");
  check_one_line(asked(s, {"search", "--out", s / "o"}), 2, "--out");
  const auto dense =
      moe_test::run_program(s, "MOE_THREADS=1", MOE_EVAL,
                            {"search", "--model", std::string(MOE_SOURCE_DIR) + "/models/nano/nano-dense-flops",
                             "--tasks", kExam, "--limit", "2"});
  check_one_line(dense, 1, "dense");
}

}  // namespace eval_expert_programs_test

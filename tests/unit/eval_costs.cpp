// Costs of a run: FLOPs by question, subject and run, joules if readable, compute compared with other models.

#include "moe/eval/report.hpp"
#include "moe/eval/until_known.hpp"
#include "scratch_dir.hpp"
#include "support.hpp"
#include "unit/scripted_exam.hpp"

namespace eval_costs_test {

namespace {

namespace eval = moe::eval;
namespace fs = std::filesystem;

// A machine whose package burns `burns` microjoules in every call of score().
struct Machine : moe_test::ScratchDir {
  Machine() : ScratchDir("moe_eval_costs") {
    fs::create_directories(zone());
    std::ofstream(zone() / "name") << "package-0\n";
    std::ofstream(zone() / "max_energy_range_uj") << "262143328850\n";
    burn(0);
  }
  fs::path zone() const { return dir / "sys/class/powercap/intel-rapl:0"; }
  void burn(std::uint64_t microjoules) { std::ofstream(zone() / "energy_uj") << (used += microjoules) << "\n"; }
  std::uint64_t used = 5;
};

class BurningModel : public moe_test::ScriptedModel {
 public:
  BurningModel(moe_test::Answers right, Machine& machine, std::uint64_t burns)
      : ScriptedModel(std::move(right)), machine_(machine), burns_(burns) {}
  moe::Result<std::vector<eval::Score>> score(std::span<const eval::ScoreRequest> requests,
                                              const eval::Hooks& hooks) override {
    machine_.burn(burns_);
    if (hooks.cancelled) hooks.cancelled();
    return ScriptedModel::score(requests, hooks);
  }

 private:
  Machine& machine_;
  std::uint64_t burns_;
};

}  // namespace

TEST_CASE("a run's joules are the counter's; without a counter there is no figure") {
  Machine machine;
  const eval::PreparedTask exam = moe_test::exam(20);
  BurningModel model(moe_test::answers(20, 0.5, 1), machine, 2'500'000);
  const auto measured = eval::evaluate(exam, model, {.system_root = machine.dir.string()});
  REQUIRE(measured);
  REQUIRE(measured->joules);
  CHECK(*measured->joules == doctest::Approx(2.5));
  const auto unmeasured = eval::evaluate(exam, model, {.system_root = (machine.dir / "elsewhere").string()});
  REQUIRE(unmeasured);
  CHECK_FALSE(unmeasured->joules);
}

TEST_CASE("joules of blocks add up, and one that was not measured leaves no sum") {
  Machine machine;
  const eval::PreparedTask exam = moe_test::exam(300);
  BurningModel good(moe_test::answers(300, 0.5, 1), machine, 1'000'000);
  BurningModel same(moe_test::answers(300, 0.5, 2), machine, 3'000'000);
  const std::vector<eval::PreparedTask> exams = {exam};
  const std::vector<eval::Contestant> contestants = {{"good", &good, exams}, {"same", &same, exams}};
  eval::UntilKnownOptions options;
  options.evaluate.system_root = machine.dir.string();
  const auto found = eval::ask_until_known(contestants, options);
  REQUIRE_MESSAGE(found, found.error().message);
  const auto looks = static_cast<double>(found->summary.looks);
  REQUIRE(looks > 1);
  REQUIRE(found->outcomes[0][0].joules);
  CHECK(*found->outcomes[0][0].joules == doctest::Approx(looks));
  CHECK(*found->outcomes[1][0].joules == doctest::Approx(3 * looks));
  fs::remove(machine.zone() / "energy_uj");
  fs::create_directory(machine.zone() / "energy_uj");
  const auto blind = eval::ask_until_known(contestants, options);
  REQUIRE(blind);
  CHECK_FALSE(blind->outcomes[0][0].joules);
}

TEST_CASE("the work of subjects and groups is that of their questions") {
  moe_test::ScriptedModel model(moe_test::answers(40, 0.5, 1));
  const auto outcome = eval::evaluate(moe_test::exam(40, 1, 4), model);
  REQUIRE(outcome);
  REQUIRE(outcome->subtasks.size() == 4);
  std::int64_t flops = 0, tokens = 0;
  for (std::size_t s = 0; s < 4; ++s) {
    std::int64_t of_questions = 0;
    for (const eval::DocumentOutcome& d : outcome->documents[s]) of_questions += d.flops;
    CHECK(outcome->subtasks[s].model_flops == of_questions);
    flops += of_questions, tokens += outcome->subtasks[s].pass_tokens;
  }
  CHECK(flops > 0);
  CHECK(outcome->overall.model_flops == flops);
  CHECK(outcome->model_flops == flops);
  CHECK(outcome->overall.pass_tokens == tokens);
  CHECK(outcome->pass_tokens == tokens);
}

TEST_CASE("a report's multipliers are those of its questions, against the reference that it names") {
  eval::RunReport report;
  report.tasks = {moe_test::exam(200)};
  for (const double accuracy : {0.6, 0.4, 0.8}) {
    moe_test::ScriptedModel model(moe_test::answers(200, accuracy, 3));
    auto outcome = eval::evaluate(report.tasks[0], model);
    REQUIRE(outcome);
    const std::int64_t flops = report.models.empty() ? 30 : report.models.size() == 1 ? 10 : 100;
    for (auto& document : outcome->documents[0]) document.flops = flops;
    outcome->model_flops = 200 * flops;
    report.models.emplace_back().name = std::to_string(report.models.size());
    report.models.back().outcomes.push_back(std::move(*outcome));
  }
  const auto all = eval::multipliers_of(report, {.replicates = 200});
  REQUIRE(all);
  REQUIRE((*all)[0].size() == 3);
  const eval::ComputeMultiplier& middle = (*all)[0][0];
  REQUIRE(middle.value);
  CHECK(*middle.low < *middle.value);
  CHECK(*middle.high > *middle.value);
  const std::vector<double> flops = {30, 10, 100};
  std::vector<double> accuracy;
  for (const eval::ModelRun& m : report.models) accuracy.push_back(m.outcomes[0].overall.metrics[0].value);
  CHECK(*middle.value == doctest::Approx(*eval::compute_multipliers(flops, accuracy)[0]));
  report.reference = {2};
  const auto against_one = eval::multipliers_of(report, {.replicates = 200});
  REQUIRE(against_one);
  CHECK_FALSE((*against_one)[0][0].value);  // one model is no front that 60 % could lie on
  report.models[1].outcomes.clear();
  CHECK(eval::multipliers_of(report)->at(0).empty());
}

}  // namespace eval_costs_test

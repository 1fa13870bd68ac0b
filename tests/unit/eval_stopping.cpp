// Guarantees of early stopping, by simulation: whole runs on exams of two or more models.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "moe/eval/sequential.hpp"
#include "moe/eval/until_known.hpp"
#include "scripted_exam.hpp"

namespace eval_stopping_test {

using namespace moe::eval;
using moe_test::Answers;
using moe_test::Random;
using moe_test::uniform;

namespace {

// Answers of models to one exam: question by question one of the first two is better, by `gap` on average.
struct Truth {
  int questions = 1000, cluster = 1, models = 2;
  double gap = 0, discordant = 0.2;
  double opposite = 0;  // the first half of the exam favours the first model by so much more, the second half the other
  double shared_lean = 0;  // of the questions of a cluster together, to either side
};

// Whether either of the first two models is alone right; a question that is not discordant is right for both or none.
std::vector<Answers> draw(const Truth& truth, Random& random) {
  std::vector<Answers> out(static_cast<std::size_t>(truth.models));
  double lean = 0;
  for (int i = 0; i < truth.questions; ++i) {
    if (i % truth.cluster == 0) lean = uniform(random) < 0.5 ? truth.shared_lean : -truth.shared_lean;
    const double gap = truth.gap + lean + (i < truth.questions / 2 ? truth.opposite : -truth.opposite);
    const double u = uniform(random), both = uniform(random);
    const bool only_a = u < (truth.discordant + gap) / 2, only_b = !only_a && u < truth.discordant;
    out[0].push_back(only_a || (!only_b && both < 0.7));
    out[1].push_back(only_b || (!only_a && both < 0.7));
    const double accuracy = truth.discordant / 2 + (1 - truth.discordant) * 0.7;
    for (std::size_t m = 2; m < out.size(); ++m) out[m].push_back(uniform(random) < accuracy);
  }
  return out;
}

// One run of the real thing.
UntilKnown ask(const PreparedTask& task, const std::vector<Answers>& of_models, const UntilKnownOptions& options) {
  std::vector<moe_test::ScriptedModel> models;
  for (const Answers& right : of_models) models.emplace_back(right);
  std::vector<Contestant> contestants;
  for (moe_test::ScriptedModel& model : models) contestants.push_back({"m", &model, {&task, 1}});
  auto known = ask_until_known(contestants, options);
  REQUIRE(known.has_value());
  return std::move(known->summary);
}

// Runs of models that are equal: every verdict but "equal" is false. Gives how many runs had one.
int false_runs(const Truth& truth, int runs, std::uint64_t seed) {
  const PreparedTask task = moe_test::exam(truth.questions, truth.cluster);
  Random random(seed);
  UntilKnownOptions options;
  options.first_block = 16;
  int wrong = 0;
  for (int run = 0; run < runs; ++run) {
    options.seed = random();
    const UntilKnown known = ask(task, draw(truth, random), options);
    wrong += std::any_of(known.pairs.begin(), known.pairs.end(),
                         [](const PairVerdict& pair) { return pair.verdict != Verdict::open; });
  }
  return wrong;
}

// 5 % of the runs and three standard errors.
int most_allowed(int runs) { return static_cast<int>(0.05 * runs + 3 * std::sqrt(0.05 * 0.95 * runs)); }

void check_false_verdicts(int runs) {
  CHECK(false_runs({}, runs, 1) <= most_allowed(runs));
  CHECK(false_runs({.cluster = 5, .shared_lean = 0.15}, runs, 2) <= most_allowed(runs));
  CHECK(false_runs({.discordant = 0.3, .opposite = 0.2}, runs, 3) <= most_allowed(runs));
  // Six pairs share the error.
  CHECK(false_runs({.models = 4, .discordant = 0.42}, runs, 4) <= most_allowed(runs));
}

// MMLU: 14,042 questions in 57 subjects. Medians over runs.
struct Stopped {
  double questions = 0;
  int right = 0;
};
Stopped stopped(const Truth& truth, int runs, std::uint64_t seed) {
  const PreparedTask task = moe_test::exam(truth.questions, 1, 57);
  Random random(seed);
  std::vector<double> questions;
  Stopped out;
  for (int run = 0; run < runs; ++run) {
    UntilKnownOptions options;
    options.seed = random();
    const UntilKnown known = ask(task, draw(truth, random), options);
    questions.push_back(static_cast<double>(known.asked));
    out.right += known.pairs[0].verdict == Verdict::a_better;
  }
  std::sort(questions.begin(), questions.end());
  out.questions = questions[questions.size() / 2];
  return out;
}

}  // namespace

TEST_CASE("equal models: false verdicts in 5 % of the runs at most, clusters and opposite subjects included") {
  check_false_verdicts(80);
}

TEST_CASE("full: false verdicts, many runs" * doctest::skip()) { check_false_verdicts(2000); }

TEST_CASE("the trap: the same subjects one after the other are told apart nearly always") {
  Random random(5);
  int wrong = 0;
  for (int run = 0; run < 20; ++run) {
    const std::vector<Answers> right = draw({.discordant = 0.3, .opposite = 0.2}, random);
    GapSequence sequence(0.05, 1);
    for (std::size_t i = 0; i < right[0].size(); ++i) {
      REQUIRE(sequence.add(static_cast<int>(right[0][i]) - static_cast<int>(right[1][i]), 1).has_value());
      if (i % 50 == 49) sequence.look();
    }
    wrong += sequence.lower() > 0;
  }
  CHECK(wrong >= 19);
}

TEST_CASE("looking after every question, the martingale tells equal models apart in 5 % of runs at most") {
  Random random(11);
  int wrong = 0;
  for (int run = 0; run < 500; ++run) {
    std::int64_t b = 0, c = 0;
    bool decided = false;
    for (int i = 0; i < 3000 && !decided; ++i) {
      const double u = uniform(random);
      b += u < 0.1, c += u >= 0.1 && u < 0.2;
      decided = log_mixture_martingale(b, c) >= std::log(20.0);
    }
    wrong += decided;
  }
  CHECK(wrong <= most_allowed(500));
}

TEST_CASE("10 points on an exam of MMLU's size are known after 3 % of its questions") {
  for (const double discordant : {0.22, 0.3}) {
    CAPTURE(discordant);
    const Stopped found = stopped({.questions = 14042, .gap = 0.1, .discordant = discordant}, 25, 6);
    CHECK(found.right == 25);
    CHECK(found.questions <= 0.03 * 14042);
  }
}

}  // namespace eval_stopping_test

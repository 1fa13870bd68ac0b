// Sequential comparisons: closed forms, guarantees by a small simulation, early stopping of models.

#include "moe/eval/sequential.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "moe/eval/families.hpp"
#include "moe/eval/statistics.hpp"
#include "moe/eval/until_known.hpp"
#include "scripted_exam.hpp"

namespace eval_sequential_test {

using namespace moe::eval;
using moe_test::answers;
using moe_test::exam;
using moe_test::Random;
using moe_test::uniform;
using Scripted = moe_test::ScriptedModel;

TEST_CASE("the mixture martingale is a fair game, in closed form") {
  CHECK(std::exp(log_mixture_martingale(0, 0)) == doctest::Approx(1));
  // 2 Beta(3, 2) / Beta(2, 2) = 1, and 4 Beta(4, 2) / Beta(2, 2) = 1.2
  CHECK(std::exp(log_mixture_martingale(1, 0)) == doctest::Approx(1));
  CHECK(std::exp(log_mixture_martingale(2, 0)) == doctest::Approx(1.2));
  for (int b : {0, 3, 17})
    for (int c : {0, 2, 40}) {
      const double next = std::exp(log_mixture_martingale(b + 1, c)) + std::exp(log_mixture_martingale(b, c + 1));
      CHECK(next / 2 == doctest::Approx(std::exp(log_mixture_martingale(b, c))));
    }
}

TEST_CASE("the capital at no gap is the mixture martingale, and order does not matter") {
  GapSequence one(0.05, 1), other(0.05, 1);
  for (int i = 0; i < 100; ++i) REQUIRE(one.add(i < 40 ? 1 : i < 55 ? -1 : 0, 1).has_value());
  for (int i = 99; i >= 0; --i) REQUIRE(other.add(i < 40 ? 1 : i < 55 ? -1 : 0, 1).has_value());
  one.look(), other.look();
  CHECK(one.p_value() == doctest::Approx(std::exp(-log_mixture_martingale(40, 15))).epsilon(0.02));
  CHECK(one.gap() == doctest::Approx(0.25));
  CHECK(one.lower() > 0);
  CHECK(one.lower() < 0.25);
  CHECK(one.upper() > 0.25);
  CHECK(one.lower() == other.lower());
  CHECK(one.upper() == other.upper());
  CHECK(one.p_value() == other.p_value());
  CHECK_FALSE(one.add(2, 1).has_value());
  CHECK_FALSE(one.add(0, 2).has_value());
  CHECK_FALSE(one.add(std::nan(""), 1).has_value());
}

TEST_CASE("clusters: the interval is of the gap per question, and covers it at every look") {
  // Large clusters favour a, small ones b: per question the gap is (5 * 0.2 - 1 * 0.4) / 6 = 0.1, per cluster it is
  // not.
  Random random(7);
  int missed = 0;
  constexpr int kRuns = 200;
  for (int run = 0; run < kRuns; ++run) {
    GapSequence sequence(0.05, 5);
    bool covered = true;
    for (int c = 1; c <= 600; ++c) {
      const bool large = uniform(random) < 0.5;
      const double gap = large ? 0.2 : -0.4;
      double sum = 0;
      for (int i = 0; i < (large ? 5 : 1); ++i) {
        const double u = uniform(random);
        sum += u < (0.5 + gap) / 2 ? 1 : u < 0.5 ? -1 : 0;
      }
      REQUIRE(sequence.add(sum, large ? 5 : 1).has_value());
      if (c % 60 != 0) continue;
      sequence.look();
      covered = covered && sequence.lower() <= 0.1 && 0.1 <= sequence.upper();
    }
    CHECK(sequence.upper() - sequence.lower() < 0.25);
    missed += !covered;
  }
  CHECK(missed <= kRuns * 0.08);
}

TEST_CASE("stored answers are those of the questions that were asked, whatever the models had before") {
  struct Stored : Scripted {
    using Scripted::Scripted;
    std::int64_t stored = 1000;
    moe::Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks& hooks) override {
      stored += static_cast<std::int64_t>(requests.size());
      return Scripted::score(requests, hooks);
    }
    std::int64_t stored_answers() const override { return stored; }
  };
  const PreparedTask task = exam(3000);
  Stored good(answers(3000, 0.8, 1));
  Scripted bad(answers(3000, 0.5, 2));
  const std::vector<Contestant> two = {{"good", &good, {&task, 1}}, {"bad", &bad, {&task, 1}}};
  const auto known = ask_until_known(two);
  REQUIRE(known.has_value());
  CHECK(known->summary.looks > 1);
  CHECK(known->outcomes[0][0].stored_answers == 2 * known->asked[0][0].question_count());
  CHECK(known->outcomes[1][0].stored_answers == 0);
}

TEST_CASE("models stop when it is known, equal ones at the margin or at the end") {
  for (int cluster : {1, 3}) {
    CAPTURE(cluster);
    const PreparedTask task = exam(3000, cluster);
    Scripted good(answers(3000, 0.8, 1)), bad(answers(3000, 0.5, 2)), twin(answers(3000, 0.8, 1));
    const std::vector<Contestant> three = {
        {"good", &good, {&task, 1}}, {"bad", &bad, {&task, 1}}, {"twin", &twin, {&task, 1}}};
    UntilKnownOptions options;
    options.margin = 0.02;
    const auto known = ask_until_known(three, options);
    REQUIRE(known.has_value());
    const UntilKnown& s = known->summary;
    REQUIRE(s.pairs.size() == 3);
    CHECK(s.pairs[0].verdict == Verdict::a_better);
    CHECK(s.pairs[1].verdict == Verdict::equal);
    CHECK(s.pairs[2].verdict == Verdict::b_better);
    CHECK(s.pairs[0].lower > 0);
    CHECK(s.pairs[0].p_value <= s.pair_alpha);
    CHECK(s.pair_alpha == 0.05 / 3);
    // The bad one is decided against both others and stops first.
    CHECK(s.models[1].questions < s.models[0].questions);
    CHECK(s.models[1].questions < 1000);
    CHECK(s.models[0].questions == s.models[2].questions);
    CHECK(s.models[1].model_flops == 10 * s.models[1].questions);
    CHECK(s.models[1].unasked_flops == doctest::Approx(10.0 * static_cast<double>(3000 - s.models[1].questions)));
    CHECK(known->outcomes[1][0].skipped == 3000 - s.models[1].questions);
    // Each question keeps its number and its score.
    const Subtask& part = known->asked[1][0].subtasks[0];
    const std::vector<bool> truth = answers(3000, 0.5, 2);
    for (std::size_t d = 0; d < part.documents.size(); ++d) {
      CHECK(part.documents[d].question.id == std::to_string(part.position(d)));
      CHECK(known->outcomes[1][0].documents[0][d].metrics[0] ==
            (truth[static_cast<std::size_t>(part.position(d))] ? 1 : 0));
    }
    options.margin = 0;
    const auto never = ask_until_known(std::span(three).first(1), options);
    CHECK_FALSE(never.has_value());
    const std::vector<Contestant> twins = {three[0], three[2]};
    const auto all = ask_until_known(twins, options);
    REQUIRE(all.has_value());
    CHECK(all->summary.pairs[0].verdict == Verdict::open);
    CHECK(all->summary.asked == 3000);
  }
}

TEST_CASE("the order is random over all tasks, and the same for a seed") {
  const std::vector<PreparedTask> tasks = {exam(2000, 1), exam(5, 1)};
  Scripted good(answers(2000, 0.9, 3)), bad(answers(2000, 0.3, 4));
  const std::vector<Contestant> two = {{"good", &good, tasks}, {"bad", &bad, tasks}};
  UntilKnownOptions options;
  const auto once = ask_until_known(two, options), again = ask_until_known(two, options);
  options.seed = 5;
  const auto other = ask_until_known(two, options);
  REQUIRE((once && again && other));
  for (const auto& run : {once, again, other}) CHECK(run->asked[0][1].question_count() > 0);
  CHECK(once->asked[0][0].subtasks[0].positions == again->asked[0][0].subtasks[0].positions);
  CHECK(once->asked[0][0].subtasks[0].positions != other->asked[0][0].subtasks[0].positions);
}

TEST_CASE("families: the maximum is taken anew in each replicate") {
  // Six equal models in A, one in B: who wins A is chance.
  Random random(9);
  std::vector<std::vector<double>> a(6, std::vector<double>(400)), b(1, std::vector<double>(400));
  for (std::size_t i = 0; i < 400; ++i)
    for (auto* family : {&a, &b})
      for (auto& model : *family) model[i] = uniform(random) < 0.5;
  const std::vector<std::string> alone(400);
  const auto gap = family_gap(a, b, alone, {.replicates = 2000});
  REQUIRE(gap.has_value());
  CHECK(gap->gap > 0);
  // In a replicate another one may lead: the mean of maxima lies above the lead of the winner.
  CHECK((gap->low + gap->high) / 2 > gap->gap);
  CHECK(gap->standard_error > 0.01);
  CHECK(family_gap(a, b, alone, {.replicates = 2000})->low == gap->low);
  CHECK_FALSE(family_gap({}, b, alone).has_value());
  CHECK_FALSE(family_gap(a, b, std::vector<std::string>(399)).has_value());
  CHECK_FALSE(family_gap(a, b, std::vector<std::string>(400, "one")).has_value());
}

}  // namespace eval_sequential_test

// The iso-accuracy compute multiplier and its bootstrap interval.

#include <cmath>
#include <random>

#include "moe/eval/multiplier.hpp"
#include "support.hpp"

namespace eval_multiplier_test {

namespace {

namespace eval = moe::eval;
using Columns = std::vector<std::vector<double>>;

// Models whose questions all cost the same.
Columns cost_of(const std::vector<double>& flops, std::size_t questions) {
  Columns out;
  for (const double f : flops) out.emplace_back(questions, f);
  return out;
}

// The first `right` of each model's questions.
Columns answers(const std::vector<int>& right, std::size_t questions) {
  Columns out;
  for (const int r : right) {
    out.emplace_back(questions, 0.0);
    std::fill_n(out.back().begin(), r, 1.0);
  }
  return out;
}

std::vector<std::string> singles(std::size_t questions) { return std::vector<std::string>(questions); }

// Answers of independent questions at the given rates.
Columns drawn(const std::vector<double>& rates, std::size_t questions, std::mt19937_64& random) {
  Columns out;
  for (const double rate : rates) {
    auto& model = out.emplace_back();
    for (std::size_t i = 0; i < questions; ++i)
      model.push_back(std::uniform_real_distribution<double>(0, 1)(random) < rate ? 1.0 : 0.0);
  }
  return out;
}

}  // namespace

TEST_CASE("the reference's compute at equal accuracy is read off its front, straight in the logarithm") {
  const double flops[] = {2.0, 1.0, 16.0, 10.0}, accuracy[] = {0.7, 0.5, 0.9, 0.4};
  const auto found = eval::compute_multipliers(flops, accuracy);
  REQUIRE(found.size() == 4);
  REQUIRE(found[0]);  // half way from 1 to 16 FLOPs: 4
  CHECK(*found[0] == doctest::Approx(2.0));
  CHECK_FALSE(found[1]);  // the last model is below, but it is beaten by the first: the front begins at 0.7
  CHECK_FALSE(found[2]);  // nothing reaches 0.9
  CHECK_FALSE(found[3]);  // the front starts above it
}

TEST_CASE("a reference leaves out the others") {
  const double flops[] = {1.0, 4.0, 3.0, 2.0}, accuracy[] = {0.5, 0.7, 0.6, 0.65};
  const auto all = eval::compute_multipliers(flops, accuracy);
  const auto two = eval::compute_multipliers(flops, accuracy, {true, true, false, false});
  REQUIRE(all[2]);
  REQUIRE(two[2]);
  CHECK(*two[2] == doctest::Approx(2.0 / 3.0));  // half way from 1 to 4
  CHECK(*all[2] == doctest::Approx(std::exp2(2.0 / 3.0) / 3.0));
  CHECK_FALSE(two[0]);  // alone against one model that is better
}

TEST_CASE("intervals: same value as without, both ends around it, the same for the same seed") {
  const std::size_t questions = 400;
  const Columns flops = cost_of({2.0, 1.0, 16.0}, questions), scores = answers({280, 200, 360}, questions);
  const auto found = eval::compute_multipliers(flops, scores, singles(questions), {.replicates = 1000});
  REQUIRE_MESSAGE(found, found.error().message);
  const eval::ComputeMultiplier& m = (*found)[0];
  REQUIRE(m.value);
  REQUIRE(m.low);
  REQUIRE(m.high);
  CHECK(*m.value == doctest::Approx(2.0));
  CHECK(*m.low < *m.value);
  CHECK(*m.high > *m.value);
  const auto again = eval::compute_multipliers(flops, scores, singles(questions), {.replicates = 1000});
  CHECK(*(*again)[0].low == *m.low);
  CHECK(*(*again)[0].high == *m.high);
  const auto other = eval::compute_multipliers(flops, scores, singles(questions), {.replicates = 1000, .seed = 7});
  CHECK(*(*other)[0].low != *m.low);
  const auto none = eval::compute_multipliers(flops, scores, singles(questions), {.replicates = 0});
  CHECK((*none)[0].value == m.value);
  CHECK_FALSE((*none)[0].low);
}

TEST_CASE("questions of one passage widen the interval") {
  // Every answer ten times: as clusters it is the interval of the questions once, not of ten times as many.
  std::mt19937_64 random(3);
  const Columns once = drawn({0.7, 0.5, 0.9}, 300, random);
  Columns ten(3);
  std::vector<std::string> clusters;
  for (std::size_t i = 0; i < 3000; ++i) {
    for (std::size_t m = 0; m < 3; ++m) ten[m].push_back(once[m][i / 10]);
    clusters.push_back("passage " + std::to_string(i / 10));
  }
  const auto width = [](const auto& found) { return std::log(*found->at(0).high / *found->at(0).low); };
  const auto of_once = eval::compute_multipliers(cost_of({2, 1, 16}, 300), once, singles(300));
  const auto clustered = eval::compute_multipliers(cost_of({2, 1, 16}, 3000), ten, clusters);
  const auto ignored = eval::compute_multipliers(cost_of({2, 1, 16}, 3000), ten, singles(3000));
  CHECK(width(clustered) == doctest::Approx(width(of_once)));
  CHECK(width(ignored) < 0.5 * width(clustered));
}

TEST_CASE("an end that the front does not reach is open") {
  std::mt19937_64 random(5);
  const std::size_t questions = 100;
  // As good as the best of the reference: half of the replicates lie above its front.
  const Columns scores = answers({70, 30, 70}, questions);
  const auto found = eval::compute_multipliers(cost_of({1.0, 1.0, 8.0}, questions),
                                               drawn({0.7, 0.3, 0.7}, questions, random), singles(questions));
  REQUIRE(found);
  CHECK((*found)[0].low);
  CHECK_FALSE((*found)[0].high);
  const auto exact = eval::compute_multipliers(cost_of({1.0, 1.0, 8.0}, questions), scores, singles(questions));
  REQUIRE(exact);
  CHECK(*(*exact)[0].value == doctest::Approx(8.0));
  CHECK_FALSE((*exact)[1].value);
}

TEST_CASE("the interval holds the true ratio in about 95 of 100 exams") {
  // Truth: half way from 1 to 16 FLOPs is 4, the model spends 2.
  std::mt19937_64 random(11);
  const std::size_t questions = 400;
  const Columns flops = cost_of({2.0, 1.0, 16.0}, questions);
  int covered = 0;
  for (int exam = 0; exam < 300; ++exam) {
    const auto found = eval::compute_multipliers(flops, drawn({0.7, 0.5, 0.9}, questions, random), singles(questions),
                                                 {.replicates = 400, .seed = static_cast<std::uint64_t>(exam)});
    REQUIRE(found);
    const eval::ComputeMultiplier& m = (*found)[0];
    covered += (!m.low || *m.low <= 2.0) && (!m.high || *m.high >= 2.0);
  }
  CHECK(covered >= 273);  // 91 %: three standard errors of 300 exams below 95 %
  CHECK(covered <= 296);
}

TEST_CASE("what does not fit is named") {
  const Columns flops = cost_of({1.0, 2.0}, 3), scores = answers({1, 2}, 3);
  const auto text = [](const auto& found) { return found ? std::string() : found.error().message; };
  CHECK(text(eval::compute_multipliers(flops, answers({1}, 3), singles(3))) ==
        "compute_multipliers: 1 models with scores, expected 2");
  CHECK(text(eval::compute_multipliers(flops, scores, singles(4))) ==
        "compute_multipliers: 3 FLOPs of a model, expected 4");
  CHECK(text(eval::compute_multipliers(flops, scores, singles(3), {.reference = {true}})) ==
        "compute_multipliers: 1 marks of a reference, expected 2");
  CHECK(text(eval::compute_multipliers(Columns(), Columns(), {})) == "compute_multipliers: no question");
  const auto stopped = eval::compute_multipliers(flops, scores, singles(3), {.cancelled = [] { return true; }});
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == moe::ErrorCode::cancelled);
}

}  // namespace eval_multiplier_test

// Expected numbers: closed forms in exact fractions, and CPython's random module (3.11).

#include "moe/eval/statistics.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "eval/score/python_random.hpp"
#include "moe/eval/report.hpp"
#include "scripted_exam.hpp"

namespace eval_statistics_test {

using namespace moe::eval;

namespace {
doctest::Approx near(double x) { return doctest::Approx(x).epsilon(1e-12); }
}  // namespace

TEST_CASE("intervals of few clusters are Student's") {
  // scipy.stats.t.ppf(0.975, values - 1)
  CHECK(interval_factor(2) == near(12.706204736174694));
  CHECK(interval_factor(3) == near(4.302652729749464));
  CHECK(std::abs(interval_factor(4) - 3.182446305283708) < 0.02);
  CHECK(std::abs(interval_factor(6) - 2.5705818356363146) < 2e-3);
  CHECK(std::abs(interval_factor(10) - 2.2621571628540993) < 2e-4);
  CHECK(std::abs(interval_factor(31) - 2.0422724563012373) < 1e-6);
  CHECK(std::abs(interval_factor(2167) - 1.9610598) < 1e-6);
  CHECK(std::isinf(interval_factor(1)));
  CHECK(std::isinf(interval_factor(0)));
  const std::vector<std::string> clusters = {"", "a", "", "b", "a", "b", ""};
  CHECK(count_clusters(clusters) == 5);

  const std::vector<double> a = {1, 1, 0, 1, 1, 0, 1}, b = {0, 1, 0, 0, 1, 1, 0};
  const auto gap = paired_gap(a, b, clusters);
  REQUIRE(gap);
  CHECK(gap->clusters == 5);
  const auto ends = interval_of(*gap);
  REQUIRE(ends);
  CHECK(ends->second - gap->gap == near(interval_factor(5) * *gap->standard_error));
  CHECK(gap->gap - ends->first == near(ends->second - gap->gap));
  CHECK_FALSE(interval_of(*paired_gap(a, a)));
}

TEST_CASE("standard errors, plain and clustered") {
  const std::vector<double> right = {1, 0, 1, 1, 0, 1};
  CHECK(*standard_error(right) == near(0.21081851067789198));
  // Two clusters of two and two questions of their own.
  const std::vector<std::string> clusters = {"p", "p", "q", "q", "", ""};
  CHECK(*clustered_standard_error(right, clusters) == near(0.20286020648339487));
  CHECK(*clustered_standard_error(right, std::vector<std::string>(6)) == near(*standard_error(right)));
  CHECK_FALSE(clustered_standard_error(right, std::vector<std::string>(6, "one")).has_value());
  CHECK_FALSE(standard_error(std::vector<double>{1}).has_value());
}

TEST_CASE("Wilson's interval stays inside [0, 1]") {
  CHECK(wilson_interval(0, 10).first == near(0));
  CHECK(wilson_interval(0, 10).second == near(0.2775327998628892));
  CHECK(wilson_interval(81, 263).first == near(0.2552885198782742));
  CHECK(wilson_interval(81, 263).second == near(0.36620957698280004));
  CHECK(wilson_interval(10, 10).second <= 1.0);
}

TEST_CASE("of questions in clusters Wilson's interval counts the independent ones") {
  const auto width = [](const Accuracy& accuracy, std::int64_t questions) {
    const auto ends = interval_of(accuracy, questions);
    REQUIRE(ends);
    CHECK(ends->first >= 0);
    CHECK(ends->second <= 1);
    return ends->second - ends->first;
  };
  // 40 questions, half right. Alone, and in 10 passages of 4 that are right or wrong as a whole.
  const auto [low, high] = wilson_interval(20, 40);
  CHECK(width({0.5, std::sqrt(0.25 / 39), 40}, 40) == high - low);
  const double as_ten = std::sqrt(0.25 / 9);
  const auto [few_low, few_high] = wilson_interval_of_share(0.5, 9, interval_factor(10));
  CHECK(width({0.5, as_ten, 10}, 40) == near(few_high - few_low));
  // Clusters of unlike questions count as all of them, with Student's factor for the clusters.
  CHECK(width({0.5, 0.0, 10}, 40) == near(2 * (0.5 - wilson_interval_of_share(0.5, 40, interval_factor(10)).first)));
  // All right: each cluster is one question, also beyond 100 of them.
  for (const std::int64_t questions : {40, 400})
    CHECK(width({1.0, 0.0, 10}, questions) == near(1 - wilson_interval_of_share(1.0, 10, interval_factor(10)).first));
  CHECK_FALSE(interval_of({0.5, std::nullopt, 1}, 40));
  CHECK_FALSE(interval_of({}, 0));
  CHECK(interval_of({1.0, std::nullopt, 1}, 1));
}

TEST_CASE("McNemar: exact and mid-p") {
  struct Case {
    std::int64_t b, c;
    double exact, mid_p;
  };
  for (const Case& k : {Case{0, 0, 1.0, 1.0},
                        {1, 5, 0.21875, 0.125},
                        {3, 11, 0.057373046875, 0.03515625},
                        {10, 10, 1.0, 0.9119014739990234},
                        {40, 60, 0.05688793364098079, 0.046044066929342806},
                        {500, 600, 0.0028195449914364275, 0.002564772797753158}}) {
    CAPTURE(k.b);
    CHECK(mcnemar_exact(k.b, k.c) == doctest::Approx(k.exact).epsilon(1e-9));
    CHECK(mcnemar_exact(k.c, k.b) == mcnemar_exact(k.b, k.c));
    CHECK(mcnemar_mid_p(k.b, k.c) == doctest::Approx(k.mid_p).epsilon(1e-9));
  }
}

TEST_CASE("Holm adjusts step by step and keeps the order") {
  const std::vector<double> adjusted = holm(std::vector<double>{0.01, 0.04, 0.03, 0.005});
  CHECK(adjusted[3] == near(0.02));
  CHECK(adjusted[0] == near(0.03));
  CHECK(adjusted[2] == near(0.06));
  CHECK(adjusted[1] == near(0.06));  // 0.04 * 1 is raised to the one before it
  CHECK(holm(std::vector<double>{0.9, 0.8})[0] == near(1));
}

TEST_CASE("paired gap: same questions, so shared difficulty cancels") {
  const std::vector<double> a = {1, 1, 1, 0, 1, 0, 1, 1}, b = {1, 0, 1, 0, 0, 0, 1, 0};
  const auto gap = paired_gap(a, b);
  REQUIRE(gap.has_value());
  CHECK(gap->gap == near(3.0 / 8));
  CHECK(gap->only_a == 3);
  CHECK(gap->only_b == 0);
  CHECK(gap->p_value == near(0.25));
  // d = three ones and five zeros: sd^2 = 3 * 5 / 8 / 7
  CHECK(*gap->standard_error == near(std::sqrt(15.0 / 56 / 8)));
  CHECK_FALSE(paired_gap(a, std::vector<double>{1}).has_value());
  CHECK(minimum_detectable_effect(0.01) == near(0.028015852181129683));
  CHECK(chance_corrected(0.25, 0.25) == near(0));
  CHECK(chance_corrected(1, 0.25) == near(1));
}

TEST_CASE("Student's t: the values of its integral") {
  CHECK(student_two_sided(1, 1) == near(0.5));
  CHECK(student_two_sided(-12.706204736174694, 1) == near(0.05));
  CHECK(student_two_sided(3, 2) == near(0.09546596626670886));
  CHECK(std::abs(student_two_sided(2.2621571628540993, 9) - 0.05) < 1e-10);
  CHECK(std::abs(student_two_sided(0.5, 4) - 0.6433299631818632) < 1e-12);
  CHECK(std::abs(student_two_sided(10, 30) / 4.575251408229616e-11 - 1) < 1e-9);
  CHECK(std::abs(student_two_sided(1.959963984540054, 1000000) - 0.05) < 1e-6);
  CHECK(student_two_sided(0, 5) == 1);
  CHECK(student_two_sided(2, 0) == 1);
  CHECK(student_two_sided(std::numeric_limits<double>::infinity(), 3) == 0);
}

TEST_CASE("a gap in one cluster is one observation: its p is that of its interval") {
  std::vector<double> a(200, 1), b(200, 1);
  std::vector<std::string> clusters;
  for (int i = 0; i < 200; ++i) clusters.push_back(std::to_string(i / 20));
  std::fill_n(b.begin(), 20, 0.0);
  const auto gap = paired_gap(a, b, clusters);
  REQUIRE(gap);
  CHECK(gap->only_a == 20);
  CHECK(gap->p_value > 0.3);
  const auto ends = interval_of(*gap);
  REQUIRE(ends);
  CHECK(ends->first < 0);
  CHECK(gap->p_value == student_two_sided(gap->gap / *gap->standard_error, 9));
  CHECK(paired_gap(a, b)->p_value < 1e-4);  // if they were independent
  // Every cluster with the same gap: no error to compare with, ten coins.
  for (std::size_t i = 0; i < 200; ++i) b[i] = i % 20 < 2 ? 0 : 1;
  CHECK(paired_gap(a, b, clusters)->p_value == near(2 * std::pow(0.5, 10)));
  CHECK(paired_gap(a, a, clusters)->p_value == 1);
  // Clusters of one question each are no clusters.
  for (std::size_t i = 0; i < 200; ++i) clusters[i] = std::to_string(i);
  CHECK(paired_gap(a, b, clusters)->p_value == paired_gap(a, b)->p_value);
}

TEST_CASE("a gap's p is McNemar's exact one below 25 questions that differ, and mid-p from there") {
  for (const int differing : {24, 25}) {
    CAPTURE(differing);
    std::vector<double> a(100, 1), b(100, 1);
    for (int i = 0; i < differing; ++i) (i < 8 ? a : b)[static_cast<std::size_t>(i)] = 0;
    const std::int64_t only_b = 8, only_a = differing - 8;
    CHECK(paired_gap(a, b)->p_value == (differing < 25 ? mcnemar_exact : mcnemar_mid_p)(only_a, only_b));
    CHECK(mcnemar_exact(only_a, only_b) != mcnemar_mid_p(only_a, only_b));
  }
}

TEST_CASE("where clusters and questions alone all differ alike, each of them is a coin") {
  const std::vector<double> a(7, 1), b(7, 0);
  const std::vector<std::string> clusters = {"p", "p", "", "q", "q", "", ""};
  CHECK(paired_gap(a, b, clusters)->p_value == near(2 * std::pow(0.5, 5)));
}

TEST_CASE("of many questions the interval is that of the error, with Student's factor for the clusters") {
  const auto ends = interval_of({0.5, 0.05, 10}, 400);
  REQUIRE(ends);
  CHECK(ends->first == near(0.5 - interval_factor(10) * 0.05));
  CHECK(ends->second == near(0.5 + interval_factor(10) * 0.05));
  // Where fewer than ten are wrong it is Wilson's.
  CHECK(interval_of({391.0 / 400, 0.0074, 400}, 400) == wilson_interval(391, 400));
  CHECK(interval_of({390.0 / 400, 0.0078, 400}, 400) != wilson_interval(390, 400));
}

TEST_CASE("the accuracy of an exam has the error of its clusters, and their number") {
  const PreparedTask task = moe_test::exam(60, 3);
  moe_test::Answers right = moe_test::answers(60, 0.7, 1);
  moe_test::ScriptedModel model(right);
  const auto outcome = evaluate(task, model);
  REQUIRE(outcome);
  const std::vector<double> scores(right.begin(), right.end());
  std::vector<std::string> clusters;
  for (const Document& document : task.subtasks[0].documents) clusters.push_back(document.cluster);
  const Accuracy accuracy = accuracy_of(task, *outcome);
  CHECK(accuracy.clusters == 20);
  CHECK(*accuracy.standard_error == *clustered_standard_error(scores, clusters));
  CHECK(*accuracy.standard_error != *standard_error(scores));
}

TEST_CASE("a subtask without a value changes no standard error of its group") {
  const MetricValue half{0.5, 0.1}, one{1.0, 0.0}, none{std::nan(""), std::nullopt};
  const MetricValue without = pool(std::array{half, one}, std::array<std::int64_t, 2>{30, 10}),
                    with = pool(std::array{half, none, one}, std::array<std::int64_t, 3>{30, 7, 10});
  REQUIRE(with.standard_error.has_value());
  CHECK(*with.standard_error == *without.standard_error);
  CHECK(pool({}, {}).value == 0);  // a group without subtasks
}

TEST_CASE("Pareto front") {
  const std::vector<double> cost = {1, 2, 3, 3, 4}, score = {0.3, 0.5, 0.4, 0.6, 0.6};
  CHECK(pareto_front(cost, score) == std::vector<bool>{true, true, false, true, false});
}

TEST_CASE("random.Random of CPython") {
  PythonRandom zero(0), seven(7), wide((std::uint64_t{1} << 40) + 3);
  for (double expected : {0.8444218515250481, 0.7579544029403025, 0.420571580830845})
    CHECK(zero.next_double() == expected);
  for (std::size_t expected : {1334, 621, 2683, 298, 2208}) CHECK(seven.next_index(4122) == expected);
  CHECK(wide.next32() == 943978446u);
}

TEST_CASE("perplexity: exp(-mean), its error from a bootstrap with fixed seeds, whatever the threads") {
  const std::vector<double> lls = {-1, -2, -3, -0.5, -4, -2.5};
  const MetricValue once = aggregate(Metric::perplexity, lls, 5000);
  CHECK(once.value == near(std::exp(13.0 / 6)));
  REQUIRE(once.standard_error.has_value());
  CHECK(*aggregate(Metric::perplexity, lls, 5000, moe::openmp_pool(3)).standard_error == *once.standard_error);
  CHECK_FALSE(aggregate(Metric::perplexity, lls, 0).standard_error.has_value());
  CHECK_FALSE(aggregate(Metric::acc, std::array{1.0}, 0).standard_error.has_value());
  // Nothing was measured: that is not the perplexity of a perfect model.
  CHECK(std::isnan(aggregate(Metric::perplexity, {}, 0).value));
  CHECK(std::isnan(aggregate_texts(Metric::bits_per_byte, {}, {}).value));
}

TEST_CASE("groups average over questions, not over subtasks") {
  const MetricValue half{0.5, 0.1}, one{1.0, 0.0};
  const MetricValue pooled = pool(std::array{half, one}, std::array<std::int64_t, 2>{30, 10});
  CHECK(pooled.value == near(0.625));
  CHECK(*pooled.standard_error == near(std::sqrt(29 * 0.01 * 30 / 38 / 40)));
  CHECK_FALSE(pool(std::array{half, MetricValue{1.0, std::nullopt}}, std::array<std::int64_t, 2>{30, 1})
                  .standard_error.has_value());
  // A subtask none of whose questions has a value does not count.
  const MetricValue none{std::nan(""), std::nullopt};
  CHECK(pool(std::array{half, none, one}, std::array<std::int64_t, 3>{30, 7, 10}).value == near(0.625));
  CHECK(std::isnan(pool(std::array{none}, std::array<std::int64_t, 1>{7}).value));
}

}  // namespace eval_statistics_test

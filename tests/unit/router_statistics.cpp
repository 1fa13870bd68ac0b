// How experts share the load, the bias that evens it out, and the sum of what experts give.

#include "moe/router_statistics.hpp"

#include <cmath>
#include <limits>

#include "support.hpp"
#include "unit/router_support.hpp"

namespace router_statistics_test {

namespace {

using namespace router_support;
using moe::ErrorCode;
using moe::RouterScore;

}  // namespace

TEST_CASE("shared experts: Qwen2-MoE's gate, and the sum in rank order") {
  const std::vector<float> gate{0.5f, -1.0f, 2.0f}, x{1.0f, 0.25f, 0.125f};
  const auto weight = moe::shared_expert_weight(gate, x);
  REQUIRE(weight.has_value());
  CHECK(*weight == doctest::Approx(1.0 / (1.0 + std::exp(-0.5))).epsilon(1e-6));
  CHECK(moe::shared_expert_weight(gate, std::span(x).first(2)).error().code == ErrorCode::bad_shape);
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    CHECK(moe::shared_expert_weight(gate, std::vector<float>{1.0f, bad, 0.0f}).error().code == ErrorCode::non_finite);

  const std::vector<float> shared{4.0f, 8.0f}, routed{1.0f, 2.0f, 10.0f, 20.0f}, weights{0.5f, 0.25f};
  std::vector<float> hidden{100.0f, 200.0f};
  const MatrixView<const float> rows(routed.data(), 2, 2);
  REQUIRE(moe::add_experts(shared, 0.5f, rows, weights, hidden).has_value());
  CHECK(hidden == std::vector<float>{105.0f, 210.0f});
  REQUIRE(moe::add_experts({}, 1.0f, rows, weights, hidden).has_value());
  CHECK(hidden == std::vector<float>{108.0f, 216.0f});
  CHECK(moe::add_experts(shared, 1.0f, rows, std::span(weights).first(1), hidden).error().code == ErrorCode::bad_shape);
  CHECK(moe::add_experts(std::span(shared).first(1), 1.0f, rows, weights, hidden).error().code == ErrorCode::bad_shape);
  CHECK(hidden == std::vector<float>{108.0f, 216.0f});
}

TEST_CASE("load statistics of even, one-sided and mixed loads") {
  const std::vector<std::int64_t> even(8, 5);
  const auto e = moe::load_statistics(even);
  CHECK(e.assignments == 40);
  CHECK(e.entropy == doctest::Approx(std::log(8.0)));
  CHECK(e.normalized_entropy == doctest::Approx(1.0));
  CHECK(e.max_over_mean == doctest::Approx(1.0));
  CHECK(e.coefficient_of_variation == 0.0);
  CHECK(e.idle_experts == 0);
  std::vector<std::int64_t> one(8, 0);
  REQUIRE(moe::count_load(std::vector<std::int32_t>{3, 3, 3}, one).has_value());
  const auto o = moe::load_statistics(one);
  CHECK(o.entropy == 0.0);
  CHECK(o.max_over_mean == doctest::Approx(8.0));
  CHECK(o.coefficient_of_variation == doctest::Approx(std::sqrt(7.0)));
  CHECK(o.idle_experts == 7);
  CHECK(moe::load_share(one, 3) == 1.0);
  CHECK(moe::load_statistics(std::vector<std::int64_t>(4, 0)).entropy == 0.0);
  const auto mixed = moe::load_statistics(std::vector<std::int64_t>{1, 3});
  CHECK(mixed.entropy == doctest::Approx(0.25 * std::log(4.0) + 0.75 * std::log(4.0 / 3.0)));
  CHECK(mixed.coefficient_of_variation == doctest::Approx(0.5));
  CHECK_FALSE(moe::count_load(std::vector<std::int32_t>{8}, one).has_value());
  CHECK_FALSE(moe::count_load(std::vector<std::int32_t>{-1}, one).has_value());
}

TEST_CASE("the bias update moves every expert towards the mean load") {
  std::vector<float> bias{0.0f, 0.5f, -0.5f};
  REQUIRE(moe::update_selection_bias(std::vector<std::int64_t>{9, 3, 6}, 0.25f, bias).has_value());
  CHECK(bias == std::vector<float>{-0.25f, 0.75f, -0.5f});
  CHECK_FALSE(moe::update_selection_bias(std::vector<std::int64_t>{9, 3}, 0.25f, bias).has_value());
  CHECK_FALSE(moe::update_selection_bias(std::vector<std::int64_t>{9, 3, 6}, std::nanf(""), bias).has_value());

  // A router whose logits favour the first experts becomes even after enough steps.
  std::mt19937 rng(4);
  RouterConfig config;
  config.expert_count = 16;
  config.top_k = 2;
  config.score = RouterScore::sigmoid;
  config.selection_bias = true;
  std::vector<float> b(16, 0.0f);
  double first = 0.0, last = 0.0;
  for (int step = 0; step < 400; ++step) {
    std::vector<std::int64_t> counts(16, 0);
    for (int t = 0; t < 64; ++t) {
      auto logits = random_logits(rng, 16);
      for (std::size_t e = 0; e < 16; ++e) logits[e] -= 0.25f * static_cast<float>(e);
      const auto got = ask(logits, b, config);
      REQUIRE(got.has_value());
      REQUIRE(moe::count_load(got->ids, counts).has_value());
    }
    last = moe::load_statistics(counts).coefficient_of_variation;
    if (step == 0) first = last;
    REQUIRE(moe::update_selection_bias(counts, 0.005f, b).has_value());
  }
  CHECK(last < 0.5 * first);
}

}  // namespace router_statistics_test

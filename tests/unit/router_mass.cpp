// RouterConfig::expert_mass against a naive search for the prefix, and against the router without it.

#include <algorithm>
#include <random>

#include "moe/model.hpp"
#include "moe/router.hpp"
#include "support.hpp"

namespace router_mass_test {

namespace {

using moe::ErrorCode;
using moe::MassVariant;
using moe::MatrixView;
using moe::RouterConfig;
using moe::Routing;

std::vector<RouterConfig> methods() {
  RouterConfig softmax{.expert_count = 64, .top_k = 8};
  RouterConfig normalised = softmax;
  normalised.norm_topk_prob = true;
  RouterConfig chosen = softmax;
  chosen.score = moe::RouterScore::chosen_softmax;
  return {RouterConfig::deepseek_v3(), RouterConfig::deepseek_v2(), softmax, normalised, chosen};
}

std::vector<float> random_values(std::mt19937& rng, std::int64_t count, float scale) {
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& x : out) x = normal(rng);
  return out;
}

// A router and the logits of some tokens.
struct Case {
  RouterConfig config;
  std::int64_t tokens = 40;
  std::vector<float> logits, bias;

  Case(const RouterConfig& method, std::mt19937& rng) : config(method) {
    logits = random_values(rng, tokens * config.expert_count, 1.5f);
    bias = random_values(rng, config.selection_bias ? config.expert_count : 0, 0.05f);
  }
  Routing route(double mass, MassVariant variant) const {
    RouterConfig c = config;
    c.expert_mass = mass, c.mass_variant = variant;
    auto out = Routing::create(c, tokens);
    REQUIRE(out.has_value());
    REQUIRE(moe::route(MatrixView<const float>(logits.data(), tokens, c.expert_count), bias, c, *out).has_value());
    return std::move(*out);
  }
};

long double sum_of(std::span<const float> w) {
  long double sum = 0;
  for (const float x : w) sum += x;
  return sum;
}

// Tokens on whose count rounding could decide are not compared.
void check_prefix(std::span<const float> all, std::span<const float> found, double mass) {
  const long double total = sum_of(all);
  for (std::size_t n = 1; n <= all.size(); ++n) {
    const long double share = sum_of(all.first(n)) / total;
    if (std::abs(static_cast<double>(share) - mass) < 1e-6) return;
    if (share < mass && n < all.size()) continue;
    CHECK(found.size() == n);
    return;
  }
}

}  // namespace

TEST_CASE("the shortest prefix whose share reaches the mass, plain or scaled to the sum of all top_k") {
  std::mt19937 rng(17);
  for (const RouterConfig& method : methods()) {
    const Case c(method, rng);
    const Routing all = c.route(1.0, MassVariant::renormalised);
    std::vector<std::int64_t> before(static_cast<std::size_t>(c.tokens), 0);
    for (const double mass : {1e-9, 0.3, 0.5, 0.7, 0.9, 0.97}) {
      CAPTURE(mass);
      const Routing plain = c.route(mass, MassVariant::plain), scaled = c.route(mass, MassVariant::renormalised);
      for (std::int64_t t = 0; t < c.tokens; ++t) {
        const auto n = static_cast<std::size_t>(plain.count(t));
        REQUIRE(n >= 1);
        REQUIRE(plain.ids(t).size() == n);
        REQUIRE(scaled.count(t) == plain.count(t));
        check_prefix(all.weights(t), plain.weights(t), mass);
        CHECK(plain.count(t) >= before[static_cast<std::size_t>(t)]);  // never fewer for a larger mass
        before[static_cast<std::size_t>(t)] = plain.count(t);
        CHECK(std::equal(plain.ids(t).begin(), plain.ids(t).end(), all.ids(t).begin()));
        CHECK(std::equal(scaled.ids(t).begin(), scaled.ids(t).end(), all.ids(t).begin()));
        CHECK(moe_test::same_bits(plain.weights(t), all.weights(t).first(n)));
        CHECK(static_cast<double>(sum_of(scaled.weights(t))) ==
              doctest::Approx(static_cast<double>(sum_of(all.weights(t)))).epsilon(1e-5));
        for (std::size_t i = 0; i < n; ++i)
          CHECK(static_cast<double>(scaled.weights(t)[i]) * static_cast<double>(sum_of(plain.weights(t))) ==
                doctest::Approx(static_cast<double>(plain.weights(t)[i]) * static_cast<double>(sum_of(all.weights(t))))
                    .epsilon(1e-5));
      }
    }
    // Almost no mass: one expert for every token.
    CHECK(c.route(1e-9, MassVariant::plain).count(0) == 1);
  }
}

TEST_CASE("a mass of 1 gives the bits of a router that knows none, whatever the variant") {
  std::mt19937 rng(18);
  for (const RouterConfig& method : methods()) {
    const Case c(method, rng);
    const Routing one = c.route(1.0, MassVariant::plain);
    auto none = Routing::create(method, c.tokens);
    REQUIRE(none.has_value());
    REQUIRE(moe::route(MatrixView<const float>(c.logits.data(), c.tokens, method.expert_count), c.bias, method, *none)
                .has_value());
    for (std::int64_t t = 0; t < c.tokens; ++t) {
      CHECK(one.count(t) == method.top_k);
      CHECK(std::equal(one.ids(t).begin(), one.ids(t).end(), none->ids(t).begin()));
      CHECK(moe_test::same_bits(one.weights(t), std::as_const(*none).weights(t)));
    }
  }
}

TEST_CASE("a batch is routed as its tokens one by one, also into a routing that held others before") {
  std::mt19937 rng(19);
  for (const RouterConfig& method : methods()) {
    const Case c(method, rng);
    RouterConfig config = method;
    config.expert_mass = 0.6;
    const Routing batch = c.route(0.6, MassVariant::renormalised);
    auto one = Routing::create(config, 1);
    REQUIRE(one.has_value());
    for (std::int64_t t = 0; t < c.tokens; ++t) {
      const float* row = c.logits.data() + t * config.expert_count;
      REQUIRE(moe::route(MatrixView<const float>(row, 1, config.expert_count), c.bias, config, *one).has_value());
      CHECK(one->count(0) == batch.count(t));
      CHECK(std::equal(one->ids(0).begin(), one->ids(0).end(), batch.ids(t).begin(), batch.ids(t).end()));
      CHECK(moe_test::same_bits(std::as_const(*one).weights(0), batch.weights(t)));
    }
    REQUIRE(one->resize(1).has_value());
    CHECK(one->ids(0).size() == static_cast<std::size_t>(config.top_k));  // room for choose_experts()
  }
}

TEST_CASE("mass at its edges: weights of nothing, exact halves, numbers out of range") {
  RouterConfig c{.expert_count = 4, .top_k = 4, .score = moe::RouterScore::sigmoid};
  c.expert_mass = 0.5;
  std::vector<std::int32_t> ids(4);
  std::vector<float> weights(4);
  const auto choose = [&](std::vector<float> scores) { return moe::choose_experts(scores, {}, c, ids, weights); };
  CHECK(*choose({0.25f, 0.25f, 0.25f, 0.25f}) == 2);  // 0.5 is reached, not passed
  CHECK(weights[0] == 0.5f);
  CHECK(*choose({0.75f, 0.125f, 0.0625f, 0.0625f}) == 1);
  CHECK(weights[0] == 1.0f);
  c.mass_variant = MassVariant::plain;
  CHECK(*choose({0.75f, 0.125f, 0.0625f, 0.0625f}) == 1);
  CHECK(weights[0] == 0.75f);
  c.mass_variant = MassVariant::renormalised;
  CHECK(*choose({0.0f, 0.0f, 0.0f, 0.0f}) == 1);
  CHECK(weights[0] == 0.0f);
  for (const double bad :
       {0.0, -0.5, 1.0000001, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    CAPTURE(bad);
    c.expert_mass = bad;
    CHECK(choose({0.25f, 0.25f, 0.25f, 0.25f}).error().code == ErrorCode::bad_config);
    const auto refused = moe::validate(c);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message.find("router.expert_mass is ") != std::string::npos);
    CHECK(refused.error().message.find("above 0 and at most 1") != std::string::npos);
  }
}

}  // namespace router_mass_test

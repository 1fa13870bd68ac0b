// Every case of routing.json (other implementations' answers), and properties that no table of cases can hold.

#include "moe/router.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <set>

#include "support.hpp"
#include "unit/router_support.hpp"

namespace router_test {

namespace {

using json = nlohmann::json;
using moe::ErrorCode;
using moe::GroupScore;
using moe::RouterScore;
using namespace router_support;

float number(const json& j) {
  if (!j.is_string()) return j.get<float>();
  const std::string text = j.get<std::string>();
  if (text == "inf") return std::numeric_limits<float>::infinity();
  if (text == "-inf") return -std::numeric_limits<float>::infinity();
  REQUIRE(text == "nan");
  return std::numeric_limits<float>::quiet_NaN();
}

std::vector<float> numbers(const json& j) {
  std::vector<float> out;
  if (j.is_array())
    for (const json& x : j) out.push_back(number(x));
  return out;
}

RouterConfig router_of(const json& c) {
  RouterConfig r;
  r.expert_count = c["n_experts"].get<std::int64_t>();
  r.top_k = c["top_k"].get<std::int64_t>();
  r.group_count = c["n_group"].get<std::int64_t>();
  r.topk_group = c["topk_group"].get<std::int64_t>();
  r.routed_scaling_factor = c["scaling"].get<double>();
  r.norm_topk_prob = c["norm"].get<bool>();
  r.selection_bias = c["bias"].is_array();
  const std::string method = c["method"].get<std::string>();
  if (method == "noaux_tc") {
    r.score = RouterScore::sigmoid;
    r.group_score = GroupScore::top2_sum;
  } else if (method == "topk_softmax") {
    r.score = RouterScore::chosen_softmax;
  } else {
    const bool known = method == "greedy" || method == "group_limited_greedy" || method == "softmax_topk";
    REQUIRE_MESSAGE(known, "a routing method this test does not know: " << method);
  }
  return r;
}

/// Same experts (listed by rising index) with weights within 1e-6 of the scale.
void check_answer(const Answer& got, const json& expected) {
  std::vector<std::size_t> order(got.ids.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return got.ids[a] < got.ids[b]; });
  const auto& ids = expected["indices"];
  REQUIRE(ids.size() == order.size());
  const double scale = std::max(1.0, expected["scaling"].get<double>());
  for (std::size_t i = 0; i < order.size(); ++i) {
    CHECK(got.ids[order[i]] == ids[i].get<std::int32_t>());
    CHECK(std::abs(got.weights[order[i]] - expected["weights"][i].get<double>()) <= 1e-6 * scale);
  }
}

std::vector<RouterConfig> all_methods() {
  RouterConfig v2 = RouterConfig::deepseek_v3();
  v2.score = RouterScore::softmax;
  v2.group_score = GroupScore::max;
  v2.norm_topk_prob = v2.selection_bias = false;
  RouterConfig qwen = v2;
  qwen.group_count = qwen.topk_group = 1;
  qwen.norm_topk_prob = true;
  RouterConfig ernie = qwen;
  ernie.selection_bias = true;
  RouterConfig gpt_oss = qwen;
  gpt_oss.norm_topk_prob = false;
  gpt_oss.score = RouterScore::chosen_softmax;
  return {RouterConfig::deepseek_v3(), v2, qwen, ernie, gpt_oss};
}

}  // namespace

TEST_CASE("every case of routing.json") {
  const auto dir = moe_test::reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden");
  if (dir.empty() || !std::filesystem::exists(dir / "routing.json")) {
    moe_test::report_skip("routing.json", "no such file under MOE_GOLDEN_DIR");
    return;
  }
  const json all = json::parse(moe_test::read_file(dir / "routing.json"));
  REQUIRE_FALSE(all["cases"].empty());
  std::size_t done = 0;
  for (const char* list : {"cases", "edge_cases"}) {
    if (!all.contains(list)) continue;
    for (const json& c : all[list]) {
      CAPTURE(list);
      CAPTURE(c["id"].dump());
      CAPTURE(c.value("why", std::string{}));
      const std::string expect = c.value("expect", std::string("exact"));
      const auto got = ask(numbers(c["logits"]), numbers(c["bias"]), router_of(c));
      ++done;
      if (expect == "error") {
        CHECK_FALSE(got.has_value());
        continue;
      }
      const bool known = expect == "exact" || expect == "tie" || expect == "exact_or_error";
      REQUIRE_MESSAGE(known, "an expectation this test does not know: " << expect);
      if (expect == "exact_or_error" && !got) continue;
      REQUIRE_MESSAGE(got.has_value(), got.error().message);
      check_answer(*got, c);  // of a tie the listed answer is the lowest index first, which is our rule
    }
  }
  MESSAGE(done << " cases");
}

TEST_CASE("sigmoid weights are divided by their sum and norm_add") {
  RouterConfig c{.expert_count = 3, .top_k = 2, .score = RouterScore::sigmoid, .norm_topk_prob = true};
  const std::vector<float> logits = {-14.0f, -15.0f, -16.0f};
  const double a = 1.0 / (1.0 + std::exp(14.0)), b = 1.0 / (1.0 + std::exp(15.0));
  for (const double added : {1e-20, 1e-6}) {
    c.norm_add = added;
    const auto got = ask(logits, {}, c);
    REQUIRE(got.has_value());
    CHECK(std::abs(got->weights[0] - a / (a + b + added)) <= 1e-6);
    CHECK(std::abs(got->weights[1] - b / (a + b + added)) <= 1e-6);
  }
}

TEST_CASE("permuting experts permutes ids, weights keep their bits") {
  std::mt19937 rng(1);
  for (const RouterConfig& config : all_methods()) {
    const std::int64_t per_group = config.expert_count / config.group_count;
    for (int round = 0; round < 20; ++round) {
      const auto logits = random_logits(rng, config.expert_count);
      auto bias = random_logits(rng, config.selection_bias ? config.expert_count : 0);
      for (float& b : bias) b *= 0.05f;
      // A permutation that keeps groups together: groups are shuffled, and experts inside each.
      std::vector<std::int64_t> groups(static_cast<std::size_t>(config.group_count)), from;
      std::iota(groups.begin(), groups.end(), 0);
      std::shuffle(groups.begin(), groups.end(), rng);
      for (std::int64_t g : groups) {
        std::vector<std::int64_t> inside(static_cast<std::size_t>(per_group));
        std::iota(inside.begin(), inside.end(), g * per_group);
        std::shuffle(inside.begin(), inside.end(), rng);
        from.insert(from.end(), inside.begin(), inside.end());
      }
      std::vector<float> moved_logits, moved_bias;
      for (std::int64_t e : from) moved_logits.push_back(logits[static_cast<std::size_t>(e)]);
      if (!bias.empty())
        for (std::int64_t e : from) moved_bias.push_back(bias[static_cast<std::size_t>(e)]);
      auto a = ask(logits, bias, config), b = ask(moved_logits, moved_bias, config);
      REQUIRE(a.has_value());
      REQUIRE(b.has_value());
      // Equal keys may change their order; compare where the chosen logits are distinct.
      std::set<float> distinct;
      for (std::int32_t id : a->ids) distinct.insert(logits[static_cast<std::size_t>(id)]);
      if (distinct.size() != a->ids.size()) continue;
      for (std::size_t k = 0; k < a->ids.size(); ++k) {
        CHECK(from[static_cast<std::size_t>(b->ids[k])] == a->ids[k]);
        // A softmax over all experts sums them in another order.
        CHECK(std::abs(a->weights[k] - b->weights[k]) <= 1e-6 * config.routed_scaling_factor);
      }
    }
  }
}

TEST_CASE("ids are unique and in range, falling by selection score; normalised weights sum to the scale") {
  std::mt19937 rng(2);
  for (const RouterConfig& config : all_methods())
    for (int round = 0; round < 50; ++round) {
      auto logits = random_logits(rng, config.expert_count);
      if (round % 5 == 0) std::fill(logits.begin(), logits.end(), 0.5f);  // nothing but ties
      const std::vector<float> bias(config.selection_bias ? logits.size() : 0, 0.25f);
      const auto got = ask(logits, bias, config);
      REQUIRE(got.has_value());
      CHECK(std::set<std::int32_t>(got->ids.begin(), got->ids.end()).size() == got->ids.size());
      double sum = 0;
      for (std::size_t k = 0; k < got->ids.size(); ++k) {
        const std::int32_t id = got->ids[k];
        REQUIRE(id >= 0);
        REQUIRE(id < config.expert_count);
        sum += got->weights[k];
        if (k == 0) continue;
        const float before = logits[static_cast<std::size_t>(got->ids[k - 1])],
                    here = logits[static_cast<std::size_t>(id)];
        CHECK((before > here || (before == here && got->ids[k - 1] < id)));
      }
      if (config.norm_topk_prob) CHECK(sum == doctest::Approx(config.routed_scaling_factor).epsilon(1e-6));
      if (config.score == RouterScore::chosen_softmax)
        CHECK(sum == doctest::Approx(config.routed_scaling_factor).epsilon(1e-6));
    }
}

TEST_CASE("a batch equals its tokens one by one, to the bit") {
  std::mt19937 rng(3);
  for (const RouterConfig& config : all_methods()) {
    const std::int64_t tokens = 17, stride = config.expert_count + 3;
    const auto logits = random_logits(rng, tokens * stride);
    const auto bias = random_logits(rng, config.selection_bias ? config.expert_count : 0);
    auto batch = Routing::create(config, tokens);
    REQUIRE(batch.has_value());
    const MatrixView<const float> view(logits.data(), tokens, config.expert_count, stride);
    REQUIRE(moe::route(view, bias, config, *batch).has_value());
    for (std::int64_t t = 0; t < tokens; ++t) {
      const auto one = ask({view.row(t), view.row(t) + config.expert_count}, bias, config);
      REQUIRE(one.has_value());
      CHECK(std::equal(one->ids.begin(), one->ids.end(), batch->ids(t).begin()));
      CHECK(moe_test::same_bits(std::span<const float>(one->weights), std::as_const(*batch).weights(t)));
    }
  }
}

TEST_CASE("dropped groups are never chosen, whatever the bias") {
  RouterConfig config = RouterConfig::deepseek_v3();
  config.topk_group = 1;
  std::vector<float> logits(256, -3.0f), bias(256, -10.0f);
  for (std::size_t e = 96; e < 128; ++e) bias[e] = -9.0f;  // group 3 wins; all its scores stay negative
  const auto got = ask(logits, bias, config);
  REQUIRE(got.has_value());
  CHECK(got->ids == std::vector<std::int32_t>{96, 97, 98, 99, 100, 101, 102, 103});
}

TEST_CASE("what is not finite is an error and names the token") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const RouterConfig& config : all_methods()) {
    auto out = Routing::create(config, 2);
    REQUIRE(out.has_value());
    const std::vector<float> bias(config.selection_bias ? 256 : 0, 0.0f);
    for (float bad : {nan, inf}) {
      std::vector<float> logits(512, 0.0f);
      logits[256 + 200] = bad;
      const auto done = moe::route(MatrixView<const float>(logits.data(), 2, 256), bias, config, *out);
      REQUIRE_FALSE(done.has_value());
      CHECK(done.error().code == ErrorCode::non_finite);
      CHECK(done.error().message.find("token 1") != std::string::npos);
    }
    const std::vector<float> never(512, -inf);
    const auto nothing = moe::route(MatrixView<const float>(never.data(), 2, 256), bias, config, *out);
    // Sigmoid scores of -inf are 0: a legal tie with weights of 0. A softmax over nothing is not a number.
    CHECK(nothing.has_value() == (config.score == RouterScore::sigmoid));
    std::vector<float> scores(256, 0.5f), weights(8);
    std::vector<std::int32_t> ids(8);
    scores[3] = nan;
    CHECK(moe::choose_experts(scores, bias, config, ids, weights).error().code == ErrorCode::non_finite);
  }
}

TEST_CASE("numbers and shapes that do not fit are refused") {
  std::vector<float> scores(256, 0.5f), weights(8);
  std::vector<std::int32_t> ids(8);
  auto code = [&](const RouterConfig& c, std::size_t score_count, std::size_t bias_count, std::size_t room) {
    const std::vector<float> bias(bias_count, 0.0f);
    const auto done = moe::choose_experts(std::span(scores).first(score_count), bias, c, std::span(ids).first(room),
                                          std::span(weights).first(room));
    REQUIRE_FALSE(done.has_value());
    return done.error().code;
  };
  CHECK(code(RouterConfig::deepseek_v3(), 255, 256, 8) == ErrorCode::bad_shape);
  CHECK(code(RouterConfig::deepseek_v3(), 256, 9, 8) == ErrorCode::bad_shape);
  CHECK(code(RouterConfig::deepseek_v3(), 256, 256, 7) == ErrorCode::bad_shape);
  auto broken = [&](auto change) {
    RouterConfig c = RouterConfig::deepseek_v3();
    change(c);
    return code(c, 256, 256, 8);
  };
  CHECK(broken([](RouterConfig& c) { c.expert_count = 0; }) == ErrorCode::bad_config);
  CHECK(broken([](RouterConfig& c) { c.group_count = 7; }) == ErrorCode::bad_config);
  CHECK(broken([](RouterConfig& c) { c.group_count = 0; }) == ErrorCode::bad_config);
  CHECK(broken([](RouterConfig& c) { c.group_count = 256, c.topk_group = 8; }) == ErrorCode::bad_config);
  CHECK(broken([](RouterConfig& c) { c.topk_group = 9; }) == ErrorCode::bad_config);
  CHECK(broken([](RouterConfig& c) { c.top_k = 129; }) == ErrorCode::bad_config);
  CHECK(broken([](RouterConfig& c) { c.top_k = -1; }) == ErrorCode::bad_config);
  CHECK(broken([](RouterConfig& c) { c.routed_scaling_factor = std::nan(""); }) == ErrorCode::bad_config);
  CHECK_FALSE(Routing::create(RouterConfig::deepseek_v3(), -1).has_value());
  CHECK_FALSE(Routing::create(RouterConfig::deepseek_v3(), std::numeric_limits<std::int64_t>::max()).has_value());
}

TEST_CASE("one Routing serves every number of tokens up to its capacity") {
  std::mt19937 rng(4);
  for (const RouterConfig& config : all_methods()) {
    const std::int64_t experts = config.expert_count;
    auto out = Routing::create(config, 5);
    REQUIRE(out.has_value());
    CHECK(out->capacity() == 5);
    CHECK(out->token_count() == 0);
    const std::int32_t* room = out->ids(0).data();
    const auto logits = random_logits(rng, 6 * experts);
    const auto bias = random_logits(rng, config.selection_bias ? experts : 0);
    for (const std::int64_t tokens : {5, 1, 0, 3}) {
      REQUIRE(moe::route(MatrixView<const float>(logits.data(), tokens, experts), bias, config, *out).has_value());
      CHECK(out->token_count() == tokens);
      CHECK(out->ids(0).data() == room);
      for (std::int64_t t = 0; t < tokens; ++t) {
        const float* row = logits.data() + t * experts;
        const auto one = ask({row, row + experts}, bias, config);
        REQUIRE(one.has_value());
        CHECK(std::equal(one->ids.begin(), one->ids.end(), out->ids(t).begin()));
        CHECK(moe_test::same_bits(std::span<const float>(one->weights), std::as_const(*out).weights(t)));
      }
    }
    const auto more = moe::route(MatrixView<const float>(logits.data(), 6, experts), bias, config, *out);
    REQUIRE_FALSE(more.has_value());
    CHECK(more.error().code == ErrorCode::bad_shape);
    CHECK(more.error().message.find("[6, ") != std::string::npos);
    CHECK(more.error().message.find("at most [5, ") != std::string::npos);
    CHECK(out->token_count() == 0);  // what it holds is not to be used
    CHECK(out->resize(5).has_value());
    CHECK_FALSE(out->resize(6).has_value());
    CHECK_FALSE(out->resize(-1).has_value());
    if (!config.selection_bias) {
      REQUIRE(moe::route(MatrixView<const float>(logits.data(), 2, experts), config, *out).has_value());
      CHECK(out->token_count() == 2);
    } else {
      CHECK_FALSE(moe::route(MatrixView<const float>(logits.data(), 2, experts), config, *out).has_value());
    }
  }
}

TEST_CASE("a bias that the configuration denies, and a missing one, are errors: neither is ever without effect") {
  const std::vector<float> logits(256, 0.5f), bias(256, 0.25f), scores(256, 0.5f);
  std::vector<float> weights(8);
  std::vector<std::int32_t> ids(8);
  for (RouterConfig config : all_methods())
    for (const bool wanted : {false, true})
      for (const bool given : {false, true}) {
        CAPTURE(wanted);
        CAPTURE(given);
        config.selection_bias = wanted;
        const std::span<const float> passed = given ? std::span<const float>(bias) : std::span<const float>();
        for (const std::int64_t tokens : {0, 1}) {
          auto out = Routing::create(config, tokens);
          REQUIRE(out.has_value());
          const auto done = moe::route(MatrixView<const float>(logits.data(), tokens, 256), passed, config, *out);
          CHECK(done.has_value() == (wanted == given));
          if (!done) CHECK(done.error().code == ErrorCode::bad_config);
          if (!done) CHECK(done.error().message.find("selection_bias") != std::string::npos);
        }
        CHECK(moe::choose_experts(scores, passed, config, ids, weights).has_value() == (wanted == given));
      }
}

}  // namespace router_test

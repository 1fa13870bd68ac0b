#include "moe/sampling.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

namespace sampling_test {

namespace {

using moe::Sampler;
using moe::SamplingConfig;

std::map<std::int32_t, int> draw(const SamplingConfig& config, const std::vector<float>& logits, int n) {
  auto sampler = Sampler::create(config);
  REQUIRE(sampler.has_value());
  std::map<std::int32_t, int> seen;
  for (int i = 0; i < n; ++i) {
    const auto token = sampler->next(logits);
    REQUIRE(token.has_value());
    ++seen[*token];
  }
  return seen;
}

}  // namespace

TEST_CASE("the generator gives PCG-XSH-RR's numbers, computed here by its definition") {
  // The definition once more, in its plainest form.
  std::uint64_t state = 0;
  const auto plain = [&] {
    const std::uint64_t old = state;
    state = old * 6364136223846793005ull + 1442695040888963407ull;
    std::uint32_t x = static_cast<std::uint32_t>((old ^ (old >> 18)) >> 27);
    for (std::uint64_t turn = old >> 59; turn > 0; --turn) x = (x >> 1) | (x << 31);
    return x;
  };
  plain();
  state += 42;
  plain();
  moe::Rng rng(42);
  for (int i = 0; i < 1000; ++i) REQUIRE(rng.bits() == plain());
  double sum = 0.0;
  for (int i = 0; i < 100000; ++i) {
    const double u = rng.uniform();
    REQUIRE(u >= 0.0);
    REQUIRE(u < 1.0);
    sum += u;
  }
  CHECK(sum / 100000 == doctest::Approx(0.5).epsilon(0.01));
}

TEST_CASE("greedy takes the first maximum and draws nothing") {
  CHECK(*moe::greedy_token(std::vector<float>{1.0f, 3.0f, 3.0f, -1.0f}) == 1);
  CHECK(*moe::greedy_token(std::vector<float>{-std::numeric_limits<float>::infinity(), -9.0f}) == 1);
  CHECK(draw({}, {0.0f, 0.5f, 0.5f}, 20) == std::map<std::int32_t, int>{{1, 20}});
}

TEST_CASE("draws follow the probabilities") {
  const std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const auto seen = draw({.temperature = 1.0, .seed = 7}, logits, 20000);
  CHECK(seen.at(0) / 20000.0 == doctest::Approx(0.5).epsilon(0.03));
  CHECK(seen.at(1) / 20000.0 == doctest::Approx(0.3).epsilon(0.05));
  CHECK(seen.at(2) / 20000.0 == doctest::Approx(0.2).epsilon(0.05));
  // Half the temperature squares the probabilities: 25 : 9 : 4.
  const auto cold = draw({.temperature = 0.5, .seed = 7}, logits, 20000);
  CHECK(cold.at(0) / 20000.0 == doctest::Approx(25.0 / 38.0).epsilon(0.03));
  // A temperature that makes every other weight vanish is greedy.
  CHECK(draw({.temperature = 1e-300, .seed = 7}, logits, 50).size() == 1);
}

TEST_CASE("top-k and top-p keep what they say") {
  const std::vector<float> logits{std::log(0.1f), std::log(0.4f), std::log(0.1f), std::log(0.25f), std::log(0.15f)};
  const auto keys = [](const std::map<std::int32_t, int>& seen) {
    std::vector<std::int32_t> out;
    for (const auto& [id, n] : seen) out.push_back(id);
    return out;
  };
  using Ids = std::vector<std::int32_t>;
  CHECK(keys(draw({.temperature = 1.0, .top_k = 1}, logits, 2000)) == Ids{1});
  CHECK(keys(draw({.temperature = 1.0, .top_k = 2}, logits, 2000)) == Ids{1, 3});
  CHECK(keys(draw({.temperature = 1.0, .top_k = 4}, logits, 2000)) == Ids{0, 1, 3, 4});  // the tie goes to index 0
  CHECK(keys(draw({.temperature = 1.0, .top_k = 99}, logits, 2000)).size() == 5);
  CHECK(keys(draw({.temperature = 1.0, .top_p = 0.3}, logits, 2000)) == Ids{1});
  CHECK(keys(draw({.temperature = 1.0, .top_p = 0.6}, logits, 2000)) == Ids{1, 3});
  CHECK(keys(draw({.temperature = 1.0, .top_p = 0.85}, logits, 4000)) == Ids{0, 1, 3, 4});
  // Top-p counts shares of what top-k left: 0.4 / 0.65 >= 0.6.
  CHECK(keys(draw({.temperature = 1.0, .top_k = 2, .top_p = 0.6}, logits, 2000)) == Ids{1});
  // A vocabulary with a long tail: the shortcut that leaves it unsorted must not change the nucleus.
  std::vector<float> wide(5000, -12.0f);
  wide[4000] = 3.0f;
  wide[17] = 2.0f;
  CHECK(keys(draw({.temperature = 1.0, .top_p = 0.9}, wide, 3000)) == Ids{17, 4000});
}

TEST_CASE("the same seed gives the same tokens, another seed others") {
  const std::vector<float> logits(100, 0.0f);
  const auto run = [&](std::uint64_t seed) {
    auto sampler = Sampler::create({.temperature = 0.8, .top_p = 0.95, .seed = seed});
    std::vector<std::int32_t> out;
    for (int i = 0; i < 32; ++i) out.push_back(*sampler->next(logits));
    return out;
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

TEST_CASE("what cannot be drawn from is refused") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  auto sampler = Sampler::create({.temperature = 1.0});
  REQUIRE(sampler.has_value());
  CHECK(sampler->next(std::vector<float>{}).error().code == moe::ErrorCode::bad_argument);
  CHECK(sampler->next(std::vector<float>{0.0f, nan}).error().code == moe::ErrorCode::non_finite);
  CHECK(sampler->next(std::vector<float>{0.0f, inf}).error().code == moe::ErrorCode::non_finite);
  CHECK(sampler->next(std::vector<float>{-inf, -inf}).error().code == moe::ErrorCode::non_finite);
  CHECK(*sampler->next(std::vector<float>{-inf, 0.0f, -inf}) == 1);
  for (const SamplingConfig& bad :
       {SamplingConfig{.temperature = -1.0}, SamplingConfig{.temperature = std::nan("")}, SamplingConfig{.top_k = -1},
        SamplingConfig{.top_p = 0.0}, SamplingConfig{.top_p = 1.5}, SamplingConfig{.top_p = std::nan("")}})
    CHECK(Sampler::create(bad).error().code == moe::ErrorCode::bad_argument);
}

TEST_CASE("min-p keeps what is likely enough beside the best token") {
  const std::vector<float> logits{std::log(0.1f), std::log(0.4f), std::log(0.1f), std::log(0.25f), std::log(0.15f)};
  CHECK(draw({.temperature = 1.0, .min_p = 1.0}, logits, 500).size() == 1);
  const auto half = draw({.temperature = 1.0, .seed = 3, .min_p = 0.5}, logits, 20000);
  REQUIRE(half.size() == 2);
  CHECK(half.at(1) / 20000.0 == doctest::Approx(0.4 / 0.65).epsilon(0.03));
  // After top-p, which already left two.
  CHECK(draw({.temperature = 1.0, .top_p = 0.6, .min_p = 0.1}, logits, 2000).size() == 2);
}

TEST_CASE("penalties and biases change the logits as their definitions say") {
  const auto greedy = [](const SamplingConfig& config, std::vector<std::int32_t> prompt, std::vector<float> logits,
                         int n) {
    auto sampler = Sampler::create(config);
    REQUIRE(sampler.has_value());
    sampler->see_prompt(prompt);
    std::vector<std::int32_t> out;
    for (int i = 0; i < n; ++i) out.push_back(sampler->next(logits).value());
    return out;
  };
  using Ids = std::vector<std::int32_t>;
  // Frequency: token 0 leads by 1 and loses 0.4 each time; the third time it is 0.8 below, a lead of 0.2.
  CHECK(greedy({.frequency_penalty = 0.4}, {}, {3.0f, 2.0f, 0.0f}, 5) == Ids{0, 0, 0, 1, 0});
  // Presence: once only, however often the token stands there.
  CHECK(greedy({.presence_penalty = 0.9}, {}, {3.0f, 2.0f, 0.0f}, 4) == Ids{0, 0, 0, 0});
  CHECK(greedy({.presence_penalty = 1.5}, {}, {3.0f, 2.0f, 0.0f}, 4) == Ids{0, 1, 0, 0});
  // Neither looks at the prompt; the repetition penalty does. 3 / 2 = 1.5; a negative logit is multiplied.
  CHECK(greedy({.presence_penalty = 1.5}, {0}, {3.0f, 2.0f, 0.0f}, 1) == Ids{0});
  CHECK(greedy({.repetition_penalty = 2.0}, {0}, {3.0f, 2.0f, 0.0f}, 1) == Ids{1});
  CHECK(greedy({.repetition_penalty = 2.0}, {0}, {-3.0f, -5.0f, -9.0f}, 1) == Ids{1});
  CHECK(greedy({.repetition_penalty = 2.0}, {-7, 1 << 30}, {3.0f, 2.0f}, 1) == Ids{0});
  // Biases, one of them beyond the vocabulary.
  CHECK(greedy({.logit_bias = {{2, 100.0}, {1 << 30, 5.0}}}, {}, {3.0f, 2.0f, 0.0f}, 2) == Ids{2, 2});
  CHECK(greedy({.logit_bias = {{0, -100.0}}}, {}, {3.0f, 2.0f, 0.0f}, 1) == Ids{1});
}

TEST_CASE("neutral penalties give the tokens of a sampler without them") {
  std::vector<float> logits;
  for (int i = 0; i < 300; ++i) logits.push_back(std::sin(static_cast<float>(i)));
  const auto run = [&](const SamplingConfig& config) {
    auto sampler = Sampler::create(config);
    sampler->see_prompt(std::vector<std::int32_t>{1, 2, 3});
    std::vector<std::int32_t> out;
    for (int i = 0; i < 200; ++i) out.push_back(sampler->next(logits).value());
    return out;
  };
  const auto plain = run({.temperature = 0.9, .top_k = 50, .top_p = 0.9, .seed = 11});
  // A bias of nothing takes the way through the adjusted logits.
  CHECK(run({.temperature = 0.9, .top_k = 50, .top_p = 0.9, .seed = 11, .logit_bias = {{5, 0.0}}}) == plain);
  CHECK(run({.temperature = 0.9, .top_k = 50, .top_p = 0.9, .seed = 11, .presence_penalty = 1e-30}) == plain);
}

TEST_CASE("settings of penalties that are no numbers are refused by name") {
  const double nan = std::nan("");
  const auto refused = [](const SamplingConfig& config, const char* name) {
    const auto made = Sampler::create(config);
    REQUIRE(!made.has_value());
    CHECK(made.error().code == moe::ErrorCode::bad_argument);
    CHECK(made.error().message.starts_with(name));
  };
  refused({.min_p = 1.5}, "min_p");
  refused({.min_p = nan}, "min_p");
  refused({.repetition_penalty = 0.0}, "repetition_penalty");
  refused({.repetition_penalty = nan}, "repetition_penalty");
  refused({.frequency_penalty = nan}, "frequency_penalty");
  refused({.presence_penalty = nan}, "presence_penalty");
  refused({.logit_bias = {{3, nan}}}, "logit_bias of token 3");
  refused({.logit_bias = {{-1, 1.0}}}, "logit_bias of token -1");
}

TEST_CASE("many tokens are drawn as the definition says, to the bit, equal logits and signs of zero too") {
  constexpr std::size_t kCount = 3000;
  std::vector<float> logits(kCount);
  moe::Rng noise(3);
  for (float& logit : logits) logit = static_cast<float>(noise.bits() % 64) / 8.0f - 4.0f;
  for (std::size_t i = 0; i < kCount; i += 7) logits[i] = i % 2 == 0 ? 0.0f : -0.0f;
  for (std::size_t i = 3; i < kCount; i += 11) logits[i] = -std::numeric_limits<float>::infinity();

  // Sorted by comparisons; equal logits stay in index order.
  std::vector<std::size_t> order(kCount);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  const auto weight = [&](std::size_t i) {
    return moe::detail::exp((static_cast<double>(logits[order[i]]) - static_cast<double>(logits[order[0]])) / 3.0);
  };
  for (const std::size_t top_k : {std::size_t{0}, std::size_t{600}, std::size_t{2500}})
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      const double top_p = top_k == 0 ? 0.95 : 1.0;
      double all = 0.0, sum = 0.0;
      for (const float logit : logits)
        all += moe::detail::exp((static_cast<double>(logit) - static_cast<double>(logits[order[0]])) / 3.0);
      std::size_t kept = 0;
      while (kept < (top_k == 0 ? kCount : top_k) && (top_p == 1.0 || sum < top_p * all)) sum += weight(kept++);
      const double target = moe::Rng(seed).uniform() * sum;
      std::size_t drawn = 0;
      for (double below = weight(0); below <= target; below += weight(drawn)) ++drawn;
      SamplingConfig config{
          .temperature = 3.0, .top_k = static_cast<std::int64_t>(top_k), .top_p = top_p, .seed = seed};
      REQUIRE(*Sampler::create(config)->next(logits) == static_cast<moe::TokenId>(order[drawn]));
    }
}

}  // namespace sampling_test

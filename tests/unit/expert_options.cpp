// Experts per layer: what with_experts() makes of a configuration, what it refuses, and what FLOPs follow.

#include "moe/flops.hpp"
#include "moe/model.hpp"
#include "support.hpp"

namespace expert_options_test {

namespace {

using moe::ExpertOptions;
using moe::MlaForm;
using moe::ModelConfig;

// DeepSeek-V3: 61 layers, the first three dense, 8 of 256 experts.
ModelConfig config(const std::string& name = "DeepSeek-V3") {
  const auto info = moe::Model::inspect(std::string(MOE_SOURCE_DIR) + "/tests/data/published/" + name);
  REQUIRE(info.has_value());
  return info->config;
}

void check_refused(const ExpertOptions& options, std::initializer_list<const char*> words) {
  const auto refused = moe::with_experts(config(), options);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == moe::ErrorCode::bad_config);
  for (const char* word : words)
    CHECK_MESSAGE(refused.error().message.find(word) != std::string::npos, refused.error().message);
}

}  // namespace

TEST_CASE("one number stands for all layers, equal numbers are one setting") {
  const ModelConfig c = config();
  const auto made = [](const ModelConfig& from, const ExpertOptions& options) {
    const auto changed = moe::with_experts(from, options);
    if (!changed) FAIL(changed.error().message);
    return *changed;
  };
  CHECK(made(c, {}) == c);
  CHECK(made(c, {.top_k = {8}}) == c);
  const auto four = moe::with_top_k(c, 4);
  REQUIRE(four.has_value());
  CHECK(four->router.top_k == 4);
  CHECK(made(c, {.top_k = std::vector<std::int64_t>(58, 4)}) == *four);
  // A mass of 1 is none, whatever the variant.
  CHECK(made(c, {.expert_mass = 1.0, .mass_variant = moe::MassVariant::plain}) == c);
  // What is not said stays.
  const ModelConfig both = made(made(c, {.expert_mass = 0.5}), {.top_k = {2}});
  CHECK(both.router.expert_mass == 0.5);
  CHECK(both.router.top_k == 2);
}

TEST_CASE("a list has a number per MoE layer; the closed forms add up the layers") {
  const ModelConfig c = config();
  std::vector<std::int64_t> list(58, 8);
  list[0] = 3, list[57] = 1;
  const auto changed = moe::with_experts(c, {.top_k = list});
  REQUIRE(changed.has_value());
  CHECK(changed->layer_top_k == list);
  CHECK(changed->router.top_k == 8);
  CHECK(moe::validate(*changed).has_value());
  CHECK(moe::routed_expert_count(*changed, 5) == 5 * (56 * 8 + 3 + 1));
  const moe::Work before = moe::forward_work(c, 7, 5, 2, MlaForm::absorbed);
  moe::Work after = moe::forward_work(*changed, 7, 5, 2, MlaForm::absorbed);
  CHECK(before.routed_experts - after.routed_experts == std::int64_t{5} * 12 * 6 * c.hidden_size * 2048);
  CHECK(moe::forward_work(c, 7, 5, 2, MlaForm::absorbed, 5 * (56 * 8 + 3 + 1)) == after);
  after.routed_experts = before.routed_experts;
  CHECK(before == after);
  const std::int64_t fewer = std::int64_t{12} * 3 * c.hidden_size * 2048;
  CHECK(moe::count_parameters(c).active_matmul - moe::count_parameters(*changed).active_matmul == fewer);
  CHECK(moe::count_parameters(c).total == moe::count_parameters(*changed).total);
}

TEST_CASE("what is out of range is refused by layer, number and range") {
  std::vector<std::int64_t> list(58, 8);
  list[2] = 129;  // four of eight groups of 32 are kept
  check_refused({.top_k = list}, {"layer 5", "129", "1..128"});
  list[2] = 0;
  check_refused({.top_k = list}, {"layer 5", "is 0", "1..128"});
  check_refused({.top_k = {4, 4}}, {"2 numbers", "58"});
  check_refused({.top_k = {129}}, {"router.top_k is 129", "1..128"});
  check_refused({.top_k = std::vector<std::int64_t>(58, -1)}, {"router.top_k is -1"});
  check_refused({.expert_mass = 0.0}, {"expert_mass is 0"});
  check_refused({.expert_mass = 1.5}, {"expert_mass is 1.5"});
  ModelConfig broken = config();
  broken.layer_top_k = std::vector<std::int64_t>(58, 4);
  CHECK_FALSE(moe::validate(broken).has_value());  // router.top_k is not the largest: buffers would be made for 8
  ModelConfig dense = config("Llama-3.1-8B"), unused = config();
  unused.first_k_dense_replace = unused.layer_count;  // experts that no layer has
  for (const ExpertOptions& options : {ExpertOptions{.top_k = {1}}, ExpertOptions{.expert_mass = 0.5}})
    for (const ModelConfig* c : {&dense, &unused}) {
      const auto changed = moe::with_experts(*c, options);
      REQUIRE_FALSE(changed.has_value());
      CHECK(changed.error().message.find("dense") != std::string::npos);
    }
}

}  // namespace expert_options_test

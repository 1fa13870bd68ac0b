// The routers that RouterConfig knows by name, against the config.json that their makers published.

#include "moe/model.hpp"
#include "moe/router.hpp"
#include "support.hpp"

namespace router_configs_test {

using moe::RouterConfig;

namespace {

struct Named {
  RouterConfig config;
  const char* directory;
};

constexpr Named kNamed[] = {
    {RouterConfig::deepseek_v3(), "DeepSeek-V3"},
    {RouterConfig::kimi_k2(), "Kimi-K2"},
    {RouterConfig::moonlight(), "Moonlight-16B-A3B"},
    {RouterConfig::glm4_5(), "GLM-4.5"},
    {RouterConfig::glm4_5_air(), "GLM-4.5-Air"},
    {RouterConfig::glm4_7_flash(), "GLM-4.7-Flash"},
    {RouterConfig::dots1(), "dots.llm1"},
    {RouterConfig::minimax_m2(), "MiniMax-M2"},
    {RouterConfig::deepseek_v2(), "DeepSeek-V2"},
    {RouterConfig::deepseek_v2_lite(), "DeepSeek-V2-Lite"},
    {RouterConfig::qwen3_moe(), "Qwen3-30B-A3B"},
    {RouterConfig::qwen3_moe(), "Qwen3-235B-A22B"},
    {RouterConfig::qwen2_moe(), "Qwen2-57B-A14B"},
    {RouterConfig::qwen1_5_moe(), "Qwen1.5-MoE-A2.7B"},
    {RouterConfig::mixtral(), "Mixtral-8x7B"},
    {RouterConfig::mixtral(), "Mixtral-8x22B"},
    {RouterConfig::olmoe(), "OLMoE-1B-7B"},
    {RouterConfig::gpt_oss_120b(), "gpt-oss-120b"},
    {RouterConfig::gpt_oss_20b(), "gpt-oss-20b"},
    {RouterConfig::hunyuan_a13b(), "Hunyuan-A13B"},
    {RouterConfig::ernie4_5_21b(), "ERNIE-4.5-21B-A3B"},
    {RouterConfig::ernie4_5_300b(), "ERNIE-4.5-300B-A47B"},
};

}  // namespace

TEST_CASE("a router known by name is the one of its published config.json, field by field") {
  for (const Named& named : kNamed) {
    CAPTURE(named.directory);
    const auto info = moe::Model::inspect(std::string(MOE_SOURCE_DIR "/tests/data/published/") + named.directory);
    REQUIRE_MESSAGE(info.has_value(), info.error().message);
    const RouterConfig& published = info->config.router;
    CHECK(named.config.expert_count == published.expert_count);
    CHECK(named.config.top_k == published.top_k);
    CHECK(named.config.group_count == published.group_count);
    CHECK(named.config.topk_group == published.topk_group);
    CHECK(named.config.score == published.score);
    CHECK(named.config.group_score == published.group_score);
    CHECK(named.config.selection_bias == published.selection_bias);
    CHECK(named.config.norm_topk_prob == published.norm_topk_prob);
    CHECK(named.config.routed_scaling_factor == published.routed_scaling_factor);
    CHECK(named.config == published);
    CHECK(moe::validate(named.config).has_value());
    CHECK(moe::Routing::create(named.config, 1).has_value());
  }
}

TEST_CASE("validate says which number of a router is wrong") {
  const auto message = [](auto change) {
    RouterConfig c = RouterConfig::deepseek_v3();
    change(c);
    const auto got = moe::validate(c);
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error().code == moe::ErrorCode::bad_config);
    return got.error().message;
  };
  CHECK(message([](RouterConfig& c) { c.expert_count = 65537; }) ==
        "config: router.expert_count is 65537, expected 0..65536");
  CHECK(message([](RouterConfig& c) { c.group_count = 7; }) ==
        "config: router.group_count is 7, expected a divisor of expert_count 256");
  CHECK(message([](RouterConfig& c) { c.top_k = 129; }) == "config: router.top_k is 129, expected 1..128");
  CHECK(message([](RouterConfig& c) { c.routed_scaling_factor = -2.5; }) ==
        "config: router.routed_scaling_factor is -2.5, expected a positive number up to 1000000");
  CHECK(message([](RouterConfig& c) { c = {.top_k = 3}; }) == "config: router.top_k is 3, expected 0 without experts");
  CHECK(moe::validate(RouterConfig{}).has_value());
}

}  // namespace router_configs_test

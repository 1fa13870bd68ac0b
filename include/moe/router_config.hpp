#pragma once
// How a router chooses experts, and the routers of published models. validate() and what uses them: router.hpp.

#include <cstdint>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// How logits become scores.
enum class RouterScore {
  softmax,         ///< over all experts, before the selection (Qwen, Mixtral, DeepSeek-V2, ERNIE)
  sigmoid,         ///< of each logit (DeepSeek-V3, GLM-4.5)
  chosen_softmax,  ///< experts are chosen by logit; softmax over the chosen ones (gpt-oss)
};
constexpr std::string_view name_of(RouterScore value) noexcept {
  switch (value) {
    case RouterScore::softmax: return "softmax";
    case RouterScore::sigmoid: return "sigmoid";
    case RouterScore::chosen_softmax: return "chosen_softmax";
  }
  return "";
}
/// How a group of experts is ranked: by its best score (V2) or by the sum of its best two (V3).
enum class GroupScore { max, top2_sum };
constexpr std::string_view name_of(GroupScore value) noexcept {
  switch (value) {
    case GroupScore::max: return "max";
    case GroupScore::top2_sum: return "top2_sum";
  }
  return "";
}

/// Weights of the experts that RouterConfig::expert_mass keeps.
enum class MassVariant {
  renormalised,  ///< scaled so that their sum is that of all top_k weights
  plain,         ///< unchanged: the share of the dropped experts is missing
};
constexpr std::string_view name_of(MassVariant value) noexcept {
  switch (value) {
    case MassVariant::renormalised: return "renormalised";
    case MassVariant::plain: return "plain";
  }
  return "";
}

/// Selection of experts and their mixing weights (moe/router.hpp).
struct RouterConfig {
  std::int64_t expert_count = 0;  ///< E; 0 = dense model
  std::int64_t top_k = 0;         ///< K
  std::int64_t group_count = 1;   ///< G; groups of E / G consecutive experts
  std::int64_t topk_group = 1;    ///< groups kept
  RouterScore score = RouterScore::softmax;
  GroupScore group_score = GroupScore::max;
  bool selection_bias = false;  ///< e_score_correction_bias: affects the selection only, not the weights
  bool norm_topk_prob = false;  ///< divide the chosen scores by their sum (chosen_softmax always does)
  double norm_min = 1e-12;      ///< lower bound of that sum for softmax (ERNIE's moe_norm_min)
  double norm_add = 1e-20;      ///< added to that sum for sigmoid (LFM2: 1e-6)
  double routed_scaling_factor = 1.0;
  /// Below 1, a token goes only to its best experts, as few as reach this share of the weights of all top_k (at least
  /// one). 1 = all top_k.
  double expert_mass = 1.0;
  MassVariant mass_variant = MassVariant::renormalised;

  bool operator==(const RouterConfig&) const = default;

  // Routers of published models; tests/unit/router_configs.cpp compares them with the published config.json.
  static constexpr RouterConfig deepseek_v3();
  static constexpr RouterConfig kimi_k2();
  static constexpr RouterConfig moonlight();
  static constexpr RouterConfig glm4_5();
  static constexpr RouterConfig glm4_5_air();
  static constexpr RouterConfig glm4_7_flash();
  static constexpr RouterConfig dots1();
  static constexpr RouterConfig minimax_m2();
  static constexpr RouterConfig deepseek_v2();
  static constexpr RouterConfig deepseek_v2_lite();
  static constexpr RouterConfig qwen3_moe();    ///< 30B-A3B and 235B-A22B
  static constexpr RouterConfig qwen2_moe();    ///< 57B-A14B
  static constexpr RouterConfig qwen1_5_moe();  ///< A2.7B
  static constexpr RouterConfig mixtral();      ///< 8x7B and 8x22B
  static constexpr RouterConfig olmoe();
  static constexpr RouterConfig gpt_oss_120b();
  static constexpr RouterConfig gpt_oss_20b();
  static constexpr RouterConfig hunyuan_a13b();
  static constexpr RouterConfig ernie4_5_21b();
  static constexpr RouterConfig ernie4_5_300b();
};

namespace detail {

/// noaux_tc: sigmoid scores, a selection bias, weights that sum to `scale`.
constexpr RouterConfig noaux_router(std::int64_t experts, std::int64_t top_k, double scale) {
  return {.expert_count = experts,
          .top_k = top_k,
          .score = RouterScore::sigmoid,
          .group_score = GroupScore::top2_sum,
          .selection_bias = true,
          .norm_topk_prob = true,
          .routed_scaling_factor = scale};
}

}  // namespace detail

constexpr RouterConfig RouterConfig::deepseek_v3() {
  RouterConfig r = detail::noaux_router(256, 8, 2.5);
  r.group_count = 8, r.topk_group = 4;
  return r;
}
constexpr RouterConfig RouterConfig::kimi_k2() { return detail::noaux_router(384, 8, 2.827); }
constexpr RouterConfig RouterConfig::moonlight() { return detail::noaux_router(64, 6, 2.446); }
constexpr RouterConfig RouterConfig::glm4_5() { return detail::noaux_router(160, 8, 2.5); }
constexpr RouterConfig RouterConfig::glm4_5_air() { return detail::noaux_router(128, 8, 1.0); }
constexpr RouterConfig RouterConfig::glm4_7_flash() { return detail::noaux_router(64, 4, 1.8); }
constexpr RouterConfig RouterConfig::dots1() { return detail::noaux_router(128, 6, 2.5); }
constexpr RouterConfig RouterConfig::minimax_m2() { return detail::noaux_router(256, 8, 1.0); }
constexpr RouterConfig RouterConfig::deepseek_v2() {
  return {.expert_count = 160, .top_k = 6, .group_count = 8, .topk_group = 3, .routed_scaling_factor = 16.0};
}
constexpr RouterConfig RouterConfig::deepseek_v2_lite() { return {.expert_count = 64, .top_k = 6}; }
constexpr RouterConfig RouterConfig::qwen3_moe() { return {.expert_count = 128, .top_k = 8, .norm_topk_prob = true}; }
constexpr RouterConfig RouterConfig::qwen2_moe() { return {.expert_count = 64, .top_k = 8}; }
constexpr RouterConfig RouterConfig::qwen1_5_moe() { return {.expert_count = 60, .top_k = 4}; }
constexpr RouterConfig RouterConfig::mixtral() { return {.expert_count = 8, .top_k = 2, .norm_topk_prob = true}; }
constexpr RouterConfig RouterConfig::olmoe() { return {.expert_count = 64, .top_k = 8}; }
constexpr RouterConfig RouterConfig::gpt_oss_120b() {
  return {.expert_count = 128, .top_k = 4, .score = RouterScore::chosen_softmax};
}
constexpr RouterConfig RouterConfig::gpt_oss_20b() {
  return {.expert_count = 32, .top_k = 4, .score = RouterScore::chosen_softmax};
}
constexpr RouterConfig RouterConfig::hunyuan_a13b() { return {.expert_count = 64, .top_k = 8, .norm_topk_prob = true}; }
constexpr RouterConfig RouterConfig::ernie4_5_21b() {
  return {.expert_count = 64, .top_k = 6, .selection_bias = true, .norm_topk_prob = true};
}
constexpr RouterConfig RouterConfig::ernie4_5_300b() {
  return {.expert_count = 64, .top_k = 8, .selection_bias = true, .norm_topk_prob = true};
}

}  // namespace moe::inline MOE_ABI

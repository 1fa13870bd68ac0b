#pragma once
// Valid values of a RouterConfig.

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>

#include "moe/config.hpp"

namespace moe::inline MOE_ABI {

inline constexpr std::int64_t kMaxRouterExperts = 65536;  // published: 384 (Kimi-K2)
inline constexpr std::int64_t kMaxRouterGroups = 256;     // published: 8; the group scores live on the stack

namespace detail {

/// The first broken rule, or null. Checked in each call, so nothing here allocates.
inline const char* broken_router_rule(const RouterConfig& c) noexcept {
  if (c.expert_count < 1 || c.expert_count > kMaxRouterExperts) return "expert_count must be in 1..65536";
  if (c.group_count < 1 || c.group_count > kMaxRouterGroups) return "group_count must be in 1..256";
  if (c.expert_count % c.group_count != 0) return "group_count must divide expert_count";
  if (c.topk_group < 1 || c.topk_group > c.group_count) return "topk_group must be in 1..group_count";
  const std::int64_t per_group = c.expert_count / c.group_count;
  if (c.top_k < 1 || c.top_k > per_group * c.topk_group) return "top_k must be in 1..experts of the kept groups";
  if (c.topk_group < c.group_count && c.group_score == GroupScore::top2_sum && per_group < 2)
    return "a group scored by its best two experts needs two";
  if (!std::isfinite(c.routed_scaling_factor)) return "routed_scaling_factor must be finite";
  if (!(c.norm_min >= 0.0) || !std::isfinite(c.norm_min)) return "norm_min must be finite and not negative";
  if (!(c.norm_add >= 0.0) || !std::isfinite(c.norm_add)) return "norm_add must be finite and not negative";
  if (!(c.expert_mass > 0.0 && c.expert_mass <= 1.0)) return "expert_mass must be above 0 and at most 1";
  return nullptr;
}

inline std::string refused_number(const char* field, std::int64_t found, std::int64_t least, std::int64_t most) {
  if (found >= least && found <= most) return {};
  return std::string(field) + " is " + std::to_string(found) + ", expected " + std::to_string(least) + ".." +
         std::to_string(most);
}
inline std::string shortest_text(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

/// The refused field, what was found and what was expected; empty when valid. Stricter than broken_router_rule: it also
/// refuses settings that make no sense.
inline std::string router_refusal(const RouterConfig& c) {
  if (c.expert_count == 0)
    return c.top_k == 0 ? std::string() : "router.top_k is " + std::to_string(c.top_k) + ", expected 0 without experts";
  if (auto no = refused_number("router.expert_count", c.expert_count, 0, kMaxRouterExperts); !no.empty()) return no;
  if (auto no = refused_number("router.group_count", c.group_count, 1, kMaxRouterGroups); !no.empty()) return no;
  if (auto no = refused_number("router.topk_group", c.topk_group, 1, c.group_count); !no.empty()) return no;
  if (c.expert_count % c.group_count != 0)
    return "router.group_count is " + std::to_string(c.group_count) + ", expected a divisor of expert_count " +
           std::to_string(c.expert_count);
  const std::int64_t per_group = c.expert_count / c.group_count;
  // A router that keeps all its groups keeps all experts.
  if (auto no = refused_number("router.top_k", c.top_k, 1, per_group * c.topk_group); !no.empty()) return no;
  if (c.group_score != GroupScore::max && c.group_score != GroupScore::top2_sum)
    return "router.group_score is none of the known ones";
  if (c.score != RouterScore::softmax && c.score != RouterScore::sigmoid && c.score != RouterScore::chosen_softmax)
    return "router.score is none of the known ones";
  if (c.topk_group < c.group_count && c.group_score == GroupScore::top2_sum && per_group < 2)
    return "router.group_count is " + std::to_string(c.group_count) + ", expected groups of at least two of the " +
           std::to_string(c.expert_count) + " experts: a group is scored by its best two";
  if (!(c.norm_min >= 0.0 && c.norm_min <= 1.0))
    return "router.norm_min is " + shortest_text(c.norm_min) + ", expected 0..1";
  if (!(c.norm_add >= 0.0 && c.norm_add <= 1.0))
    return "router.norm_add is " + shortest_text(c.norm_add) + ", expected 0..1";
  // Positive after rounding to float32, too.
  if (!std::isfinite(c.routed_scaling_factor) || !(static_cast<float>(c.routed_scaling_factor) > 0.0f) ||
      c.routed_scaling_factor > 1e6)
    return "router.routed_scaling_factor is " + shortest_text(c.routed_scaling_factor) +
           ", expected a positive number up to 1000000";
  if (!(c.expert_mass > 0.0 && c.expert_mass <= 1.0))
    return "router.expert_mass is " + shortest_text(c.expert_mass) + ", expected a number above 0 and at most 1";
  if (c.mass_variant != MassVariant::renormalised && c.mass_variant != MassVariant::plain)
    return "router.mass_variant is none of the known ones";
  // Whatever route() refuses is refused here too.
  if (const char* broken = broken_router_rule(c)) return std::string("router: ") + broken;
  return {};
}

}  // namespace detail

}  // namespace moe::inline MOE_ABI

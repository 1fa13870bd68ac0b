#pragma once
// Values that a model computes with, for UnreadRule::computed: those that rules of config.json (json_rules.cpp) and of
// GGUF metadata (gguf_rules.cpp) have in common.

#include <string>

#include "arch/unread_rules.hpp"

// A namespace of its own, because names such as `window` say little outside of the tables.
namespace moe::inline MOE_ABI::arch::computed_values {

inline std::string softmax_scale(const ModelConfig& c) { return one(c.softmax_scale); }
inline std::string embedding_scale(const ModelConfig& c) { return one(c.embedding_scale); }
inline std::string window(const ModelConfig& c) { return one(c.sliding_layers.empty() ? 0 : c.sliding_window); }
inline std::string sliding_theta(const ModelConfig& c) {
  return one(c.sliding_rope ? c.sliding_rope->theta : c.rope.theta);
}
inline std::string rotated_dim(const ModelConfig& c) { return one(c.rotated_dim()); }
inline std::string head_dim(const ModelConfig& c) { return one(c.head_dim); }
inline std::string expert_count(const ModelConfig& c) { return one(c.router.expert_count); }
inline std::string top_k(const ModelConfig& c) { return one(c.router.top_k); }
inline std::string expert_width(const ModelConfig& c) { return one(c.moe_intermediate_size); }
inline std::string shared_count(const ModelConfig& c) { return one(c.shared_expert_count); }
inline std::string shared_width(const ModelConfig& c) { return one(c.shared_width()); }
inline std::string dense_layers(const ModelConfig& c) { return one(c.first_k_dense_replace); }
inline std::string group_count(const ModelConfig& c) { return one(c.router.group_count); }
inline std::string topk_group(const ModelConfig& c) { return one(c.router.topk_group); }
inline std::string norm_topk(const ModelConfig& c) {
  return one(c.router.norm_topk_prob || c.router.score == RouterScore::chosen_softmax);
}
inline std::string routed_scale(const ModelConfig& c) { return one(c.router.routed_scaling_factor); }

/// No value for a family that does not read the key; others compute with it (uncomputed_keys_json, _gguf).
inline std::string other_families(const ModelConfig&) { return "[]"; }

inline constexpr auto kMoe = Otherwise::refuse_if_moe;

}  // namespace moe::inline MOE_ABI::arch::computed_values

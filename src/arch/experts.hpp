#pragma once
// Experts and their router: counts, widths, and the rules that several families share.

#include <string_view>

#include "arch/gguf_config.hpp"
#include "arch/json_config.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

/// expert_count, expert_used_count and expert_feed_forward_length, or `width_key` where a family has the width there.
void read_experts(GgufConfig& meta, std::string_view width_key, ModelConfig& config);
/// expert_group_count and expert_group_used_count.
void read_groups(GgufConfig& meta, ModelConfig& config);

/// The rules of DeepSeek-V3's routing: sigmoid scores, a selection bias, groups by their best two.
void set_noaux_rules(ModelConfig& config);
/// Its router alone, under its own names (n_routed_experts, n_group, ..).
void read_noaux_router(const JsonConfig& json, ModelConfig& config);
/// DeepSeek-V3's routing under its own names (n_routed_experts, n_group, ..), with first_k_dense_replace and shared
/// experts: dots1 and GLM-4.5 use it as it is.
void read_noaux_tc(const JsonConfig& json, ModelConfig& config);
void read_noaux_tc(GgufConfig& meta, ModelConfig& config);

}  // namespace moe::inline MOE_ABI::arch

#pragma once
// Soft-capping of attention scores and logits.

#include "arch/gguf_config.hpp"
#include "arch/json_config.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

/// attn_logit_softcapping and final_logit_softcapping (Gemma 2, Gemma 3); null or absent: none.
void read_soft_caps(const JsonConfig& json, ModelConfig& config);
void read_soft_caps(GgufConfig& meta, ModelConfig& config);

}  // namespace moe::inline MOE_ABI::arch

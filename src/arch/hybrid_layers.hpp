#pragma once
// Which layers of a hybrid keep a state, and the sizes of those states.

#include <string_view>

#include "arch/gguf_config.hpp"
#include "arch/json_config.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

/// layer_types: `recurrent` layers have the mixer, "full_attention" ones attention. Without the list every interval-th
/// layer (full_attention_interval) has attention.
void read_hybrid_layers(const JsonConfig& json, std::string_view recurrent, Mixer mixer, ModelConfig& config);
/// layer_types alone.
void read_layer_types(const JsonConfig& json, std::string_view recurrent, Mixer mixer, ModelConfig& config);
/// layer_types ("conv"), or full_attn_idxs as older files of LFM2 have them.
void read_short_conv_layers(const JsonConfig& json, ModelConfig& config);
/// attention.head_count_kv per layer, 0 in recurrent ones; sets kv_head_count.
void read_layers_by_key_heads(GgufConfig& meta, Mixer mixer, ModelConfig& config);
/// attention.recurrent_layers, or the interval.
void read_hybrid_layers(GgufConfig& meta, Mixer mixer, ModelConfig& config);
/// linear_* keys of gated delta nets.
void read_delta_net(const JsonConfig& json, ModelConfig& config);
/// ssm.* keys.
void read_states(GgufConfig& meta, ModelConfig& config);

}  // namespace moe::inline MOE_ABI::arch

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
/// The name of a kind of layer in transformers 5: older files have "mamba" and "attention".
std::string_view current_layer_type(std::string_view type);
/// layer_types alone.
void read_layer_types(const JsonConfig& json, std::string_view recurrent, Mixer mixer, ModelConfig& config);
/// layer_types ("conv"), or full_attn_idxs as older files of LFM2 have them.
void read_short_conv_layers(const JsonConfig& json, ModelConfig& config);
/// attention.head_count_kv per layer, 0 in recurrent ones; sets kv_head_count.
void read_layers_by_key_heads(GgufConfig& meta, Mixer mixer, ModelConfig& config);
/// attention.recurrent_layers, or the interval.
void read_hybrid_layers(GgufConfig& meta, Mixer mixer, ModelConfig& config);
bool has_mixer(const ModelConfig& config, Mixer mixer);
/// Attention without RoPE in all layers: keys about it have no effect.
void leave_out_rope(const JsonConfig& json, ModelConfig& config);
void leave_out_rope(GgufConfig& meta, ModelConfig& config);
/// Of a pair of limits of Mamba-2's steps the lower one, 0 for null. The upper must be infinite: Python's bare word, or the
/// object that transformers 5 writes for it.
double read_least_step(const JsonConfig& json, std::string_view key);
/// linear_* keys of gated delta nets.
void read_delta_net(const JsonConfig& json, ModelConfig& config);
/// ssm.* keys.
void read_states(GgufConfig& meta, ModelConfig& config);
/// The same of Mamba-2, whose convolution has a bias where the file has one.
void read_mamba_states(GgufConfig& meta, ModelConfig& config);

}  // namespace moe::inline MOE_ABI::arch

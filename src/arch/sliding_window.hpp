#pragma once
// Sliding windows of attention: their width, and the layers that have one.

#include <cstdint>
#include <functional>

#include "arch/gguf_config.hpp"
#include "arch/json_config.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

/// sliding_window and the layers that have it: those of layer_types or, without it, those that `slides` names; none unless
/// `used`.
void read_windows(const JsonConfig& json, bool used, const std::function<bool(std::int64_t layer)>& slides,
                  ModelConfig& config);
/// Windows in the layers from max_window_layers on, unless use_sliding_window is false (Qwen).
void read_upper_windows(const JsonConfig& json, ModelConfig& config);
/// Of a GGUF file: the layers that its pattern marks, or all but every `period`th. `absent`: the width where the file
/// gives none; 0: no windows.
void read_windows(GgufConfig& meta, std::int64_t period, ModelConfig& config, std::int64_t absent = 0);
/// sliding_window in every layer, where it is set.
void read_window_of_all(const JsonConfig& json, ModelConfig& config);
void read_window_of_all(GgufConfig& meta, ModelConfig& config);

}  // namespace moe::inline MOE_ABI::arch

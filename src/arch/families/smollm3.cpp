// SmolLM3: Llama with a tied head, and every fourth layer without RoPE. Source: transformers, modeling_smollm3.
#include <fmt/format.h>

#include <algorithm>

#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace smollm3 {

constexpr std::int64_t kGgufInterval = 4;  // as in llama.cpp; there is no key

void every(std::int64_t interval, ModelConfig& c) {
  for (std::int64_t l = interval - 1; l < c.layer_count; l += interval) c.nope_layers.push_back(l);
}

/// Despite its name, no_rope_layers has a 1 for layers with RoPE.
void read_nope_layers(const JsonConfig& json, ModelConfig& c) {
  constexpr std::string_view kKey = "no_rope_layers";
  const std::int64_t interval = json.integer("no_rope_layer_interval", 1, kMaxLayers);
  if (!json.has(kKey)) return every(interval, c);
  const std::vector<std::int64_t> uses = json.integers_or_empty(kKey);
  if (static_cast<std::int64_t>(uses.size()) < c.layer_count)  // its class takes the first ones of more
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: {} has {} entries, expected {} (num_hidden_layers)", json.path(kKey),
                                   uses.size(), c.layer_count));
  for (std::int64_t l = 0; l < c.layer_count; ++l) {
    const std::int64_t uses_rope = uses[static_cast<std::size_t>(l)];
    if (uses_rope != 0 && uses_rope != 1)
      return json.refuse(ErrorCode::bad_config, fmt::format("config.json: {} holds {} for layer {}, expected 0 or 1",
                                                            json.path(kKey), uses_rope, l));
    if (uses_rope == 0) c.nope_layers.push_back(l);
  }
}

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "smollm3");
  read_gqa(json, c);
  read_nope_layers(json, c);
  const bool windows = json.boolean("use_sliding_window") && json.has("sliding_window");
  read_windows(
      json, windows, [&](std::int64_t l) { return !c.has_rope(l); }, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "smollm3");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::interleaved, c);
  every(kGgufInterval, c);
  return c;
}

}  // namespace smollm3

const Family kSmolLm3 = {.name = "smollm3",
                         .gguf_architecture = "smollm3",
                         .hf_architecture = "SmolLM3ForCausalLM",
                         .from_hf = smollm3::from_hf,
                         .from_gguf = smollm3::from_gguf,
                         .gguf_rope_pairs = true};

}  // namespace moe::inline MOE_ABI::arch

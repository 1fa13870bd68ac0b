#include "arch/hybrid_layers.hpp"

#include <fmt/format.h>

#include "arch/limits.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

constexpr std::int64_t kMaxTaps = 64;

void every(std::int64_t interval, Mixer mixer, ModelConfig& c) {
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    c.mixers.push_back((l + 1) % interval == 0 ? Mixer::attention : mixer);
}

}  // namespace

void read_hybrid_layers(const JsonConfig& json, std::string_view recurrent, Mixer mixer, ModelConfig& c) {
  constexpr std::string_view kTypes = "layer_types", kInterval = "full_attention_interval";
  const std::vector<std::string> types = json.strings_or_empty(kTypes);
  const std::int64_t interval = json.integer_or(kInterval, types.empty() ? 4 : 0, 0, kMaxLayers);
  if (types.empty()) {
    if (interval < 1)
      return json.refuse(ErrorCode::bad_config,
                         fmt::format("config.json: {} is {}, expected 1 or more", json.path(kInterval), interval));
    return every(interval, mixer, c);
  }
  if (static_cast<std::int64_t>(types.size()) != c.layer_count)
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: {} has {} entries, expected {} (num_hidden_layers)", json.path(kTypes),
                                   types.size(), c.layer_count));
  for (const std::string& type : types) {
    if (type != recurrent && type != "full_attention" && type != "attention")
      return json.refuse(ErrorCode::unsupported,
                         fmt::format("config.json: {} holds '{}', expected '{}' or 'full_attention'", json.path(kTypes),
                                     type.substr(0, 60), recurrent));
    c.mixers.push_back(type == recurrent ? mixer : Mixer::attention);
  }
}

void read_hybrid_layers(GgufConfig& meta, Mixer mixer, ModelConfig& c) {
  constexpr std::string_view kLayers = "attention.recurrent_layers";
  const std::int64_t interval = meta.integer_or("full_attention_interval", 4, 1, kMaxLayers);
  const std::vector<std::int64_t> flags = meta.list_or_empty(kLayers);
  if (flags.empty()) return every(interval, mixer, c);
  if (static_cast<std::int64_t>(flags.size()) < c.layer_count)
    return meta.refuse(ErrorCode::bad_config, fmt::format("{} has {} entries, expected {} (block_count)", kLayers,
                                                          flags.size(), c.layer_count));
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    c.mixers.push_back(flags[static_cast<std::size_t>(l)] != 0 ? mixer : Mixer::attention);
}

void read_delta_net(const JsonConfig& json, ModelConfig& c) {
  RecurrentConfig& r = c.recurrent;
  r.conv_kernel = json.integer("linear_conv_kernel_dim", 1, kMaxTaps);
  r.key_heads = json.integer("linear_num_key_heads", 1, kMaxWidth);
  r.heads = json.integer("linear_num_value_heads", 1, kMaxWidth);
  r.key_dim = json.integer("linear_key_head_dim", 1, kMaxWidth);
  r.value_dim = json.integer("linear_value_head_dim", 1, kMaxWidth);
}

void read_states(GgufConfig& meta, ModelConfig& c) {
  RecurrentConfig& r = c.recurrent;
  r.conv_kernel = meta.integer("ssm.conv_kernel", 1, kMaxTaps);
  r.key_heads = meta.integer("ssm.group_count", 1, kMaxWidth);
  r.heads = meta.integer("ssm.time_step_rank", 1, kMaxWidth);
  r.key_dim = meta.integer("ssm.state_size", 1, kMaxWidth);
  const std::int64_t inner = meta.integer("ssm.inner_size", 1, kMaxWidth);
  r.value_dim = r.heads > 0 ? inner / r.heads : 0;
  if (r.heads > 0 && inner % r.heads != 0)
    meta.refuse(ErrorCode::bad_config,
                fmt::format("ssm.inner_size is {}, expected a multiple of ssm.time_step_rank {}", inner, r.heads));
}

}  // namespace moe::inline MOE_ABI::arch

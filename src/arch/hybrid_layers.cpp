#include "arch/hybrid_layers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>

#include "arch/limits.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

constexpr std::string_view kTypes = "layer_types";

void every(std::int64_t interval, Mixer mixer, ModelConfig& c) {
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    c.mixers.push_back((l + 1) % interval == 0 ? Mixer::attention : mixer);
}

}  // namespace

void read_hybrid_layers(const JsonConfig& json, std::string_view recurrent, Mixer mixer, ModelConfig& c) {
  constexpr std::string_view kInterval = "full_attention_interval";
  const bool listed = json.has(kTypes) && !json.strings_or_empty(kTypes).empty();
  const std::int64_t interval = json.integer_or(kInterval, listed ? 0 : 4, 0, kMaxLayers);
  if (listed) return read_layer_types(json, recurrent, mixer, c);
  if (interval < 1)
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: {} is {}, expected 1 or more", json.path(kInterval), interval));
  every(interval, mixer, c);
}

std::string_view current_layer_type(std::string_view type) {
  return type == "mamba" ? "linear_attention" : type == "attention" ? "full_attention" : type;
}

void read_layer_types(const JsonConfig& json, std::string_view recurrent, Mixer mixer, ModelConfig& c) {
  const std::vector<std::string> types = json.strings_or_empty(kTypes);
  if (static_cast<std::int64_t>(types.size()) != c.layer_count)
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: {} has {} entries, expected {} (num_hidden_layers)", json.path(kTypes),
                                   types.size(), c.layer_count));
  for (const std::string& name : types) {
    const std::string_view type = current_layer_type(name);
    if (type != recurrent && type != "full_attention")
      return json.refuse(ErrorCode::unsupported,
                         fmt::format("config.json: {} holds '{}', expected '{}' or 'full_attention'", json.path(kTypes),
                                     name.substr(0, 60), recurrent));
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

void read_short_conv_layers(const JsonConfig& json, ModelConfig& c) {
  constexpr std::string_view kAttention = "full_attn_idxs";
  const std::vector<std::int64_t> attention = json.integers_or_empty(kAttention);
  if (json.has(kTypes)) return read_layer_types(json, "conv", Mixer::short_conv, c);
  if (!json.has(kAttention)) {
    if (!json.knows(kAttention))
      json.refuse(ErrorCode::bad_config,
                  fmt::format("config.json: {} is missing, expected a list of the layers' kinds", json.path(kTypes)));
    c.mixers.assign(static_cast<std::size_t>(c.layer_count), Mixer::attention);
    return;
  }
  c.mixers.assign(static_cast<std::size_t>(c.layer_count), Mixer::short_conv);
  for (const std::int64_t layer : attention) {
    if (layer < 0 || layer >= c.layer_count)
      return json.refuse(ErrorCode::bad_config, fmt::format("config.json: {} holds {}, expected layers up to {}",
                                                            json.path(kAttention), layer, c.layer_count - 1));
    c.mixers[static_cast<std::size_t>(layer)] = Mixer::attention;
  }
}

void read_layers_by_key_heads(GgufConfig& meta, Mixer mixer, ModelConfig& c) {
  constexpr std::string_view kHeads = "attention.head_count_kv";
  const std::vector<std::int64_t> heads = meta.list_or_empty(kHeads);
  c.kv_head_count = c.head_count;
  if (heads.empty()) {
    c.kv_head_count = meta.integer_or(kHeads, c.head_count, 1, kMaxWidth);
    return;
  }
  if (static_cast<std::int64_t>(heads.size()) != c.layer_count + c.mtp_layer_count)
    return meta.refuse(ErrorCode::bad_config, fmt::format("{} has {} entries, expected {} (block_count)", kHeads,
                                                          heads.size(), c.layer_count + c.mtp_layer_count));
  std::int64_t first = 0;
  for (const std::int64_t n : std::span(heads).first(static_cast<std::size_t>(c.layer_count))) {
    if (first == 0) first = n;
    if (n != 0 && n != first)
      return meta.refuse(ErrorCode::unsupported,
                         fmt::format("{} holds {} and {}, expected 0 and one other number", kHeads, first, n));
    c.mixers.push_back(n == 0 ? mixer : Mixer::attention);
  }
  if (first != 0) c.kv_head_count = first;
}

void read_delta_net(const JsonConfig& json, ModelConfig& c) {
  RecurrentConfig& r = c.recurrent;
  r.conv_kernel = json.integer("linear_conv_kernel_dim", 1, kMaxTaps);
  r.key_heads = json.integer("linear_num_key_heads", 1, kMaxWidth);
  r.heads = json.integer("linear_num_value_heads", 1, kMaxWidth);
  r.key_dim = json.integer("linear_key_head_dim", 1, kMaxWidth);
  r.value_dim = json.integer("linear_value_head_dim", 1, kMaxWidth);
}

bool has_mixer(const ModelConfig& c, Mixer mixer) {
  return std::find(c.mixers.begin(), c.mixers.end(), mixer) != c.mixers.end();
}

namespace {

void no_rope(ModelConfig& c) {
  c.nope_layers.clear();
  for (std::int64_t l = 0; l < c.layer_count; ++l) c.nope_layers.push_back(l);
}

bool is_infinite(JsonValue value) {
  if (value.kind() == JsonValue::Kind::not_finite) return value.real() > 0.0;
  const auto word = value.is_object() ? value.find("__float__") : std::nullopt;
  return word && word->is_string() && word->get<std::string>() == "Infinity";
}

}  // namespace

void leave_out_rope(const JsonConfig& json, ModelConfig& c) {
  for (const char* key : {"rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor"}) json.in_file(key);
  no_rope(c);
}

void leave_out_rope(GgufConfig& meta, ModelConfig& c) {
  for (const char* key :
       {"rope.dimension_count", "rope.freq_base", "rope.scaling.type", "rope.scaling.factor", "rope.scaling.finetuned"})
    meta.has(key);
  no_rope(c);
}

double read_least_step(const JsonConfig& json, std::string_view key) {
  if (!json.has(key)) return 0.0;
  const auto found = json.value().find(key);
  if (!found) return 0.0;  // the class's: 0 and infinity
  const bool pair = found->is_array() && found->size() == 2;
  const JsonValue least = pair ? *found->begin() : *found;
  if (!pair || !least.is_number() || !std::isfinite(least.get<double>()) || !is_infinite(*++found->begin())) {
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is {}, expected a number and Infinity",
                                                    json.path(key), found->in_ascii(60)));
    return 0.0;
  }
  return least.get<double>();
}

void read_mamba_states(GgufConfig& meta, ModelConfig& c) {
  read_states(meta, c);
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    c.recurrent.conv_bias |= meta.file().find(fmt::format("blk.{}.ssm_conv1d.bias", l)) != nullptr;
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

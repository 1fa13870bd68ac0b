// Keys of layers with a recurrent state.

#include <fmt/format.h>

#include <algorithm>

#include "arch/rope.hpp"
#include "arch/wrappers.hpp"
#include "convert/keys.hpp"

namespace moe::inline MOE_ABI::convert {
namespace {

/// Where every n-th layer is attention; published models have n = 4.
void write_interval(const ModelConfig& c, Keys& keys) {
  std::int64_t first = 0;
  while (first < c.layer_count && c.is_recurrent(first)) ++first;
  for (const std::int64_t n : {std::int64_t{4}, first + 1}) {
    bool regular = true;
    for (std::int64_t l = 0; l < c.layer_count; ++l) regular = regular && c.is_recurrent(l) == ((l + 1) % n != 0);
    if (regular) return keys.count("full_attention_interval", n);
  }
}

/// How many pairs of RoPE turn with each axis of an image's position. In texts all axes have the token's own position,
/// so the numbers do not matter. llama.cpp wants four; the default is that of transformers' classes.
void write_sections(const checkpoint::Checkpoint& file, Keys& keys) {
  std::vector<std::int64_t> found;
  if (const auto json = arch::JsonConfig::parse(file.config_json()))
    found = arch::rope_block(arch::text_config(*json)).integers_or_empty("mrope_section");
  if (found.empty()) found = {11, 11, 10};
  found.resize(4);
  std::vector<std::int32_t> sections;
  for (const std::int64_t n : found)
    sections.push_back(static_cast<std::int32_t>(std::clamp<std::int64_t>(n, 0, 4096)));
  keys.integers("rope.dimension_sections", sections);
}

}  // namespace

void write_recurrent(const checkpoint::Checkpoint& file, const ModelConfig& c, Keys& keys) {
  if (c.mixers.empty()) return;
  const RecurrentConfig& r = c.recurrent;
  if (std::find(c.mixers.begin(), c.mixers.end(), Mixer::short_conv) != c.mixers.end())
    return keys.count("shortconv.l_cache", r.conv_kernel);
  keys.count("ssm.conv_kernel", r.conv_kernel);
  keys.count("ssm.state_size", r.key_dim);
  keys.count("ssm.group_count", r.key_heads);
  keys.count("ssm.time_step_rank", r.heads);
  keys.count("ssm.inner_size", r.values());
  std::vector<bool> recurrent;
  for (std::int64_t l = 0; l < c.layer_count; ++l) recurrent.push_back(c.is_recurrent(l));
  keys.booleans("attention.recurrent_layers", recurrent);
  write_interval(c, keys);
  if (c.family != "qwen3_next") write_sections(file, keys);
}

Result<void> check_recurrent_layers(const ModelConfig& c) {
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    if (const Mixer mixer = c.mixer(l);
        mixer != Mixer::attention && mixer != Mixer::delta_net && mixer != Mixer::short_conv)
      return fail(ErrorCode::unsupported,
                  fmt::format("a model with layers of kind {} (layer {}) is not written to GGUF yet: libmoe runs the "
                              "directory",
                              name_of(mixer), l));
  return {};
}

}  // namespace moe::inline MOE_ABI::convert

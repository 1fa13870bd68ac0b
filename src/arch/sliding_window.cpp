#include "arch/sliding_window.hpp"

#include <fmt/format.h>

#include "arch/limits.hpp"

namespace moe::inline MOE_ABI::arch {

void read_windows(const JsonConfig& json, bool used, const std::function<bool(std::int64_t)>& slides, ModelConfig& c) {
  const std::vector<std::string> types = json.strings_or_empty("layer_types");
  if (!types.empty() && static_cast<std::int64_t>(types.size()) != c.layer_count)
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: layer_types has {} entries, expected {} (num_hidden_layers)",
                                   types.size(), c.layer_count));
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer) {
    const std::string type = types.empty() ? "" : types[static_cast<std::size_t>(layer)];
    if (types.empty() ? used && slides(layer) : type == "sliding_attention")
      c.sliding_layers.push_back(layer);
    else if (!types.empty() && type != "full_attention" && type != "attention")  // the older name of the same
      json.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: layer_types holds '{}', expected 'sliding_attention' or 'full_attention'",
                              type.substr(0, 60)));
  }
  json.in_file("sliding_window");
  if (!c.sliding_layers.empty() && !used)
    json.refuse(
        ErrorCode::bad_config,
        "config.json: layer_types holds 'sliding_attention', but use_sliding_window or sliding_window is not set");
  if (!c.sliding_layers.empty()) c.sliding_window = json.integer("sliding_window", 1, kMaxPosition);
}

void read_upper_windows(const JsonConfig& json, ModelConfig& c) {
  const bool used = json.boolean("use_sliding_window") && json.has("sliding_window");
  const std::int64_t first = json.integer("max_window_layers", 0, kMaxLayers);
  read_windows(
      json, used, [&](std::int64_t layer) { return layer >= first; }, c);
}

void read_windows(GgufConfig& meta, std::int64_t period, ModelConfig& c, std::int64_t absent) {
  const std::int64_t window = meta.integer_or("attention.sliding_window", absent, 0, kMaxPosition);
  if (window == 0) return;
  c.sliding_window = window;
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  const std::vector<std::int64_t> pattern = meta.list_or_empty(kPattern);
  if (!pattern.empty() && static_cast<std::int64_t>(pattern.size()) != c.layer_count)
    return meta.refuse(ErrorCode::bad_config, fmt::format("{} has {} entries, expected {} (block_count)", kPattern,
                                                          pattern.size(), c.layer_count));
  if (pattern.empty()) period = meta.integer_or(kPattern, period, 1, kMaxLayers);
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    if (pattern.empty() ? (l + 1) % period != 0 : pattern[static_cast<std::size_t>(l)] != 0)
      c.sliding_layers.push_back(l);
}

namespace {

void set_window_of_all(std::int64_t window, ModelConfig& c) {
  c.sliding_window = window;
  for (std::int64_t layer = 0; layer < c.layer_count && window > 0; ++layer) c.sliding_layers.push_back(layer);
}

}  // namespace

void read_window_of_all(const JsonConfig& json, ModelConfig& c) {
  set_window_of_all(json.integer_or("sliding_window", 0, 1, kMaxPosition), c);
}
void read_window_of_all(GgufConfig& meta, ModelConfig& c) {
  set_window_of_all(meta.integer_or("attention.sliding_window", 0, 0, kMaxPosition), c);
}

}  // namespace moe::inline MOE_ABI::arch

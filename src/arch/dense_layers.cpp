#include "arch/dense_layers.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "arch/family.hpp"
#include "arch/limits.hpp"

namespace moe::inline MOE_ABI::arch {

void read_dense_layers(const JsonConfig& json, std::int64_t leading, ModelConfig& c) {
  constexpr std::string_view kFirst = "first_k_dense_replace", kTypes = "mlp_layer_types";
  const std::int64_t stated = json.in_file(kFirst) ? json.integer(kFirst, 0, kMaxLayers) : leading;
  c.first_k_dense_replace = std::min(stated, c.layer_count);  // as the classes do
  const std::vector<std::string> types = json.strings_or_empty(kTypes);
  if (types.empty()) return;
  if (static_cast<std::int64_t>(types.size()) != c.layer_count)
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: {} has {} entries, expected {} (num_hidden_layers)", json.path(kTypes),
                                   types.size(), c.layer_count));
  const auto dense = [&](std::int64_t l) { return types[static_cast<std::size_t>(l)] == "dense"; };
  std::int64_t first = 0;
  while (first < c.layer_count && dense(first)) ++first;
  for (std::int64_t l = first; l < c.layer_count; ++l) {
    const std::string& type = types[static_cast<std::size_t>(l)];
    if (dense(l))
      c.mlp_only_layers.push_back(l);
    else if (type != "sparse")
      return json.refuse(ErrorCode::bad_config, fmt::format("config.json: {} holds '{}', expected 'dense' or 'sparse'",
                                                            json.path(kTypes), type.substr(0, 60)));
  }
  if (json.in_file(kFirst) && (c.first_k_dense_replace != first || !c.mlp_only_layers.empty()))
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: {} is {}, but {} has other dense layers, expected the same of both",
                                   json.path(kFirst), stated, json.path(kTypes)));
  c.first_k_dense_replace = first;
}

void dense_without_router(const GgufConfig& meta, ModelConfig& c) {
  const auto has = [&](Role role, std::int64_t l) {
    return meta.file().find(tensor_name(checkpoint::Kind::gguf, role, l)) != nullptr;
  };
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    if (c.layer_is_moe(l) && !has(Role::router, l) && (has(Role::gate, l) || has(Role::up, l) || has(Role::down, l)))
      c.mlp_only_layers.push_back(l);
}

void keep_moe_layers(std::int64_t step, std::int64_t first, std::int64_t last, ModelConfig& c) {
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer)
    if (c.layer_is_moe(layer) && ((layer + 1) % step != 0 || layer < first || layer > last))
      c.mlp_only_layers.push_back(layer);
}

}  // namespace moe::inline MOE_ABI::arch

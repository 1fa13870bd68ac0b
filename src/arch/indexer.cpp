#include "arch/indexer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "arch/family.hpp"
#include "arch/limits.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

constexpr std::string_view kIndexerTypes = "indexer_types", kIndexerPattern = "index_topk_pattern",
                           kIndexerEvery = "index_topk_freq", kIndexerOffset = "index_skip_topk_offset";

/// Layers whose type is "shared".
using SharedIndexers = std::vector<std::int64_t>;

void wrong_layer_count(const JsonConfig& json, std::string_view key, std::size_t found, const ModelConfig& c) {
  json.refuse(ErrorCode::bad_config, fmt::format("config.json: {} has {} entries, expected {} (num_hidden_layers)",
                                                 json.path(key), found, c.layer_count));
}

std::optional<SharedIndexers> listed_types(const JsonConfig& json, std::string_view key, const ModelConfig& c) {
  const std::vector<std::string> types = json.strings_or_empty(key);
  if (static_cast<std::int64_t>(types.size()) != c.layer_count) {
    wrong_layer_count(json, key, types.size(), c);
    return std::nullopt;
  }
  SharedIndexers shared;
  for (std::size_t l = 0; l < types.size(); ++l) {
    if (types[l] == "shared")
      shared.push_back(static_cast<std::int64_t>(l));
    else if (types[l] != "full")
      json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} holds '{}', expected 'full' or 'shared'",
                                                      json.path(key), types[l].substr(0, 60)));
  }
  return shared;
}

/// "FSSF": a letter per layer, or a list as indexer_types.
std::optional<SharedIndexers> pattern_types(const JsonConfig& json, const ModelConfig& c) {
  if (json.value().find(kIndexerPattern)->is_array()) return listed_types(json, kIndexerPattern, c);
  const std::string letters = json.string_or(kIndexerPattern, "");
  if (static_cast<std::int64_t>(letters.size()) != c.layer_count) {
    wrong_layer_count(json, kIndexerPattern, letters.size(), c);
    return std::nullopt;
  }
  SharedIndexers shared;
  for (std::size_t l = 0; l < letters.size(); ++l) {
    if (letters[l] == 'S')
      shared.push_back(static_cast<std::int64_t>(l));
    else if (letters[l] != 'F')
      json.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: {} is '{}', expected letters F (full) and S (shared)",
                              json.path(kIndexerPattern), letters.substr(0, 60)));
  }
  return shared;
}

/// The first layers up to the offset are full, then every freq-th one.
SharedIndexers schedule_types(const JsonConfig& json, const ModelConfig& c) {
  const std::int64_t every = std::max<std::int64_t>(1, json.integer_or(kIndexerEvery, 1, 0, kMaxLayers));
  const std::int64_t offset = json.integer_or(kIndexerOffset, 2, 0, kMaxLayers);
  SharedIndexers shared;
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    if (std::max<std::int64_t>(l - offset + 1, 0) % every != 0) shared.push_back(l);
  return shared;
}

}  // namespace

void read_indexer(const JsonConfig& json, RopeStyle style, ModelConfig& c) {
  c.indexer.head_count = json.integer("index_n_heads", 1, kMaxWidth);
  c.indexer.head_dim = json.integer("index_head_dim", 1, kMaxWidth);
  c.indexer.top_k = json.integer("index_topk", 1, kMaxPosition);
  c.indexer.rope_style = style;
}

void read_indexer(GgufConfig& meta, RopeStyle style, ModelConfig& c) {
  c.indexer.head_count = meta.integer("attention.indexer.head_count", 1, kMaxWidth);
  c.indexer.head_dim = meta.integer("attention.indexer.key_length", 1, kMaxWidth);
  c.indexer.top_k = meta.integer("attention.indexer.top_k", 1, kMaxPosition);
  c.indexer.rope_style = style;
}

void read_indexer_types(const JsonConfig& json, ModelConfig& c) {
  const SharedIndexers schedule = schedule_types(json, c);
  std::optional<SharedIndexers> types, pattern;
  if (json.has(kIndexerTypes)) types = listed_types(json, kIndexerTypes, c);
  if (json.has(kIndexerPattern)) pattern = pattern_types(json, c);
  if (types && pattern && *types != *pattern)
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: {} and {} say different things of layers, expected one of them",
                                   json.path(kIndexerTypes), json.path(kIndexerPattern)));
  c.indexer.shared_layers = types ? *types : pattern ? *pattern : schedule;
  if (json.in_file(kIndexerEvery) && (types || pattern) && schedule != c.indexer.shared_layers)
    json.note(fmt::format("config.json: {} is {}, but {} says otherwise: the latter counts, as in transformers 5",
                          json.path(kIndexerEvery), json.integer_or(kIndexerEvery, 1, 0, kMaxLayers),
                          json.path(types ? kIndexerTypes : kIndexerPattern)));
}

void read_indexer_types(GgufConfig& meta, ModelConfig& c) {
  constexpr std::string_view kGgufTypes = "attention.indexer.types";
  const std::vector<std::int64_t> full = meta.list_or_empty(kGgufTypes);
  if (full.empty()) {
    // GLM-5 has an indexer in every layer; files of GLM-5.2 from before the key leave out what is shared.
    for (std::int64_t l = 0; l < c.layer_count; ++l)
      if (meta.file().find(tensor_name(checkpoint::Kind::gguf, Role::index_k, l)) == nullptr)
        c.indexer.shared_layers.push_back(l);
    return;
  }
  if (const auto count = static_cast<std::int64_t>(full.size());
      count != c.layer_count && count != c.layer_count + c.mtp_layer_count)
    return meta.refuse(ErrorCode::bad_config,
                       fmt::format("{} has {} entries, expected {} (block_count)", kGgufTypes, count, c.layer_count));
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    if (full[static_cast<std::size_t>(l)] == 0) c.indexer.shared_layers.push_back(l);
}

}  // namespace moe::inline MOE_ABI::arch

#pragma once
// Keys of a model file that its family did not read. Keys known to change the arithmetic are refused, unless their
// value has no effect; keys that never matter are dropped; all others are listed for the user.

#include <string>
#include <string_view>
#include <vector>

#include "moe/config.hpp"
#include "moe/error.hpp"
#include "support/json.hpp"

namespace moe::inline MOE_ABI::arch {

struct UnreadKey {
  std::string key;        ///< "rope_scaling.alpha" of config.json; without the architecture of GGUF metadata
  JsonDocument document;  ///< holds the value
  JsonValue value;
};

/// The keys of config.json to list, in the order given. `prefix` ("text_config.") precedes the text model's keys.
/// Errors: unsupported, naming the keys that would change the arithmetic.
Result<std::vector<std::string>> judge_unread_json(const std::vector<UnreadKey>& keys, std::string_view prefix,
                                                   const ModelConfig& config);
/// Keys of config.json, or of "<architecture>." metadata, whose value needs something that no family of libmoe
/// computes: "linear_num_key_heads 16". `shapes`: of that model, with at most kMaxLayers layers.
std::vector<std::string> uncomputed_keys_json(JsonValue config, const ModelConfig& shapes);
std::vector<std::string> uncomputed_keys_gguf(const std::vector<UnreadKey>& keys, const ModelConfig& shapes);
/// Whether a key of config.json never affects a forward pass.
bool never_matters_json(std::string_view key);
/// The same for "<architecture>.<key>".
Result<std::vector<std::string>> judge_unread_gguf(const std::vector<UnreadKey>& keys, std::string_view architecture,
                                                   const ModelConfig& config);
/// Whether a GGUF key outside "<architecture>." is read by its users, or never matters.
bool never_matters_outside(std::string_view key);

}  // namespace moe::inline MOE_ABI::arch

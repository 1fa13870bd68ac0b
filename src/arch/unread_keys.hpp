#pragma once
// Keys of a model file that its family did not ask for. Those that are known to change the arithmetic are refused, unless
// their value says what libmoe computes anyway; those that never matter are dropped; all others are for the user to see.

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

/// The keys of config.json to be shown, in the order given. `prefix` ("text_config.") stands before the text model's.
/// Errors: unsupported, naming the keys that would change the arithmetic.
Result<std::vector<std::string>> judge_unread_json(const std::vector<UnreadKey>& keys, std::string_view prefix,
                                                   const ModelConfig& config);
/// Keys of config.json, or of "<architecture>." metadata, whose value asks for what no family of libmoe computes:
/// "linear_num_key_heads 16".
std::vector<std::string> uncomputed_keys_json(JsonValue config);
std::vector<std::string> uncomputed_keys_gguf(const std::vector<UnreadKey>& keys);
/// Whether a key of config.json is known never to matter to a forward pass.
bool never_matters_json(std::string_view key);
/// The same of "<architecture>.<key>".
Result<std::vector<std::string>> judge_unread_gguf(const std::vector<UnreadKey>& keys, std::string_view architecture,
                                                   const ModelConfig& config);
/// Whether a GGUF key outside of "<architecture>." is read wherever it matters, or never does.
bool never_matters_outside(std::string_view key);

}  // namespace moe::inline MOE_ABI::arch

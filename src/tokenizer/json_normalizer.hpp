#pragma once
// The "normalizer" and "decoder" of a tokenizer.json: what becomes of a text before it is cut, and of tokens on their way
// back.

#include <string>
#include <vector>

#include "support/json.hpp"
#include "tokenizer/normalizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// Appends to `steps`. Errors: unsupported for a step that is not known, bad_file.
Result<void> read_normalizer(JsonValue node, std::vector<NormalizerStep>& steps);

/// How the texts of tokens become text again.
struct JsonDecoder {
  bool byte_level = false;     ///< GPT-2's alphabet
  bool byte_fallback = false;  ///< "<0x0A>" is a byte
  std::vector<std::pair<std::string, std::string>> replace;
  std::size_t strip = 0;               ///< spaces taken away from the beginning of the whole
  std::string first_token_drops = {};  ///< this character is taken away from the first token

  /// The bytes of one token.
  std::string bytes_of(const std::string& text) const;
};
/// Errors: unsupported for a step that is not known or does something else at its place, bad_file.
Result<JsonDecoder> read_decoder(JsonValue node);

/// A member that is one character, as the "replacement" of Metaspace.
Result<std::string> character_member(JsonValue node, const char* name);
/// Metaspace's "prepend_scheme": "always" (also when absent), "first" or "never".
Result<std::string> prepend_scheme(JsonValue node);

}  // namespace moe::inline MOE_ABI::tokenizer

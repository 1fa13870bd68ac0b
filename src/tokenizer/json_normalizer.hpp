#pragma once
// The "normalizer" and "decoder" of a tokenizer.json: changes of a text before it is split, and of tokens when
// decoding.

#include <string>
#include <vector>

#include "support/json.hpp"
#include "tokenizer/normalizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// Appends to `steps`. Errors: unsupported for a step that is not known, bad_file.
Result<void> read_normalizer(JsonValue node, std::vector<NormalizerStep>& steps);

/// How the texts of tokens are decoded.
struct JsonDecoder {
  bool byte_level = false;     ///< GPT-2's alphabet
  bool byte_fallback = false;  ///< "<0x0A>" is a byte
  std::vector<std::pair<std::string, std::string>> replace;
  std::size_t strip = 0;               ///< spaces removed from the beginning of the text
  std::string first_token_drops = {};  ///< this character is removed from the first token

  /// The bytes of one token.
  std::string bytes_of(const std::string& text) const;
};
/// Errors: unsupported for an unknown step or one in an unsupported position, bad_file.
Result<JsonDecoder> read_decoder(JsonValue node);

/// A member that is one character, as the "replacement" of Metaspace.
Result<std::string> character_member(JsonValue node, const char* name);
/// Metaspace's "prepend_scheme": "always" (also when absent), "first" or "never".
Result<std::string> prepend_scheme(JsonValue node);

}  // namespace moe::inline MOE_ABI::tokenizer

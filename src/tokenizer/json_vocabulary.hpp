#pragma once
// The "model" and "added_tokens" of a tokenizer.json: vocabulary, merges, unknown token.

#include <vector>

#include "support/json.hpp"
#include "tokenizer/bpe_tokenizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// Refuses options of the model that would change the ids and are not implemented. Errors: unsupported, by name.
Result<void> check_model(JsonValue model);
/// Fills the texts of the parts, and whether they are of the model. Errors: bad_file, naming the token.
Result<void> read_vocab(JsonValue model, Parts& parts);
/// Adds the tokens that are found in the text as a whole; the normaliser of the parts is applied to those
/// that are found in normalised text. Errors: bad_file, naming the token.
Result<void> read_added_tokens(JsonValue root, std::size_t vocabulary_size, Parts& parts);
/// Borrows from the model.
Result<std::vector<MergeText>> read_merges(JsonValue model);
Result<void> read_unknown(JsonValue model, const TokenTexts& texts, Parts& parts);
/// The tokens for single bytes, where the model has "byte_fallback".
Result<void> read_byte_fallback(JsonValue model, const TokenTexts& texts, Parts& parts);

/// A whole tokenizer.json and tokenizer_config.json (may be empty); defined in from_json.cpp.
Result<Parts> read_parts(JsonValue root, std::string_view config_text);

}  // namespace moe::inline MOE_ABI::tokenizer

#pragma once
// The "pre_tokenizer" and "post_processor" of a tokenizer.json.

#include <vector>

#include "support/json.hpp"
#include "tokenizer/bpe_tokenizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// Appends to `splits`. `byte_level` becomes true when the pieces are bytes in GPT-2's alphabet in the end.
/// Errors: unsupported for a step that is not known, bad_file.
Result<void> read_pre_tokenizer(JsonValue node, std::vector<Split>& splits, bool& byte_level);
/// Tokens before and after a text; their ids are not checked against the vocabulary here.
Result<void> read_post_processor(JsonValue node, std::vector<TokenId>& prefix, std::vector<TokenId>& suffix);

}  // namespace moe::inline MOE_ABI::tokenizer

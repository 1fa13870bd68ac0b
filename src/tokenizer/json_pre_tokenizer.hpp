#pragma once
// The "pre_tokenizer", "normalizer" and "post_processor" of a tokenizer.json.

#include <vector>

#include "support/json.hpp"
#include "tokenizer/byte_level_bpe.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// Appends to `splits`. Errors: unsupported for a step that is not known or has no place in byte-level BPE, bad_file.
Result<void> read_pre_tokenizer(JsonValue node, std::vector<Split>& splits);
Result<void> read_normalizer(JsonValue node, std::vector<Normalization>& forms);
/// What goes before and after a text; the ids are not checked against the vocabulary here.
Result<void> read_post_processor(JsonValue node, std::vector<TokenId>& prefix, std::vector<TokenId>& suffix);
/// Only what gives back the bytes of a byte-level vocabulary.
Result<void> check_decoder(JsonValue node);

}  // namespace moe::inline MOE_ABI::tokenizer

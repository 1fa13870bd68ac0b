#pragma once
// Reads the tokenizer.* metadata of a GGUF file.

#include "checkpoint/checkpoint.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// The whole tokenizer.json of the directory that the file was made from (the GGUF specification's own key).
inline constexpr std::string_view kTokenizerJsonKey = "tokenizer.huggingface.json";

/// Whether read_vocabulary(), read_stop_ids(), or the reader of chat templates asks for this key of "tokenizer.".
bool is_tokenizer_key(std::string_view key);

/// Checks types, lengths of parallel arrays and ranges of ids; the tokenizer checks the texts.
/// Errors: not_found when there is no vocabulary, bad_file.
Result<GgufVocabulary> read_vocabulary(const Checkpoint& file);
/// The ids that end a text: eos, eot and eom of a file with so many tokens, one or a list each. Errors: bad_file.
Result<std::vector<StopIds>> read_stop_ids(const Checkpoint& file, std::size_t tokens);

}  // namespace moe::inline MOE_ABI::checkpoint

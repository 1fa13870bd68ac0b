#pragma once
// A tokenizer.json as the arrays of a GGUF file.

#include <cstdint>
#include <string_view>

#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// Values of tokenizer.ggml.token_type.
enum TokenType : std::int32_t { kUndefined, kNormal, kUnknown, kControl, kUserDefined, kUnused, kByte };

/// Ids without a token become unused "[PADn]". `pre` is llama.cpp's name of the split, or empty where it has none.
/// Errors: as Tokenizer::create; unsupported for a merge that the arrays cannot hold.
Result<GgufVocabulary> vocabulary_from_json(std::string_view tokenizer_json, std::string_view tokenizer_config_json);

}  // namespace moe::inline MOE_ABI::tokenizer

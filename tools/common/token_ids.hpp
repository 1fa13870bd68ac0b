#pragma once
// Token ids of the prompt on a command line: --tokens as they are, --prompt as the model's tokenizer has it.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "moe/model.hpp"

namespace cli {

/// "1 2 3" or "1,2,3". Errors: bad_argument naming the first piece that is no number.
moe::Result<std::vector<moe::TokenId>> parse_ids(std::string_view text);

/// Those of --tokens, at least one; throws CLI11's usage error for anything else.
std::vector<moe::TokenId> option_ids(std::string_view tokens);

/// Errors: unsupported: the model has no tokenizer, why, and that --tokens works without one.
moe::Result<void> check_tokenizer(const moe::Model& model);

/// Those of --prompt, at least one, with the model's BOS and EOS. A BOS that the text begins with as well is noted on
/// stderr. Errors: those of check_tokenizer; bad_argument.
moe::Result<std::vector<moe::TokenId>> text_ids(std::string_view text, const moe::Model& model);

/// How many of `wanted` tokens fit behind the prompt. Errors: bad_argument when the model's context does not hold the
/// prompt.
moe::Result<std::int64_t> reply_length(std::size_t prompt_tokens, std::int64_t wanted, const moe::ModelConfig& config);

}  // namespace cli

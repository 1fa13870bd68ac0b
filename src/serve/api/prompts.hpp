#pragma once
// The prompts of /v1/completions: a text, ids, or a list of them.

#include "serve/api/call.hpp"

namespace moe::inline MOE_ABI::serve::api {

/// `special`: whether control tokens of ids are part of the echoed text. Errors: 400 naming the prompt and the problem.
Checked<std::vector<PromptPart>> read_prompts(const Fields& fields, const Context& context, SpecialTokens special);

}  // namespace moe::inline MOE_ABI::serve::api

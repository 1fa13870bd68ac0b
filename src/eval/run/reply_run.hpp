#pragma once
// Greedy replies, many questions at a time: prompts through their prefix tree, then a token per reply and step. A
// finished reply leaves the batch and the next prompt takes its place.

#include "eval/run/tree_plan.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

/// Fills in `encoded.replies`. A reply whose logits are not finite gets that failure, the others their texts. A step
/// computes up to `batch_tokens` new tokens.
/// Errors: cancelled, out_of_memory (a cache below plan.least_pages: before the first step), bad_argument (from the
/// tokenizer).
MOE_API Result<void> run_replies(Session& session, std::int64_t batch_tokens, const TreePlan& plan,
                                 std::span<const GenerateRequest> requests, EncodedContexts& encoded,
                                 const Hooks& hooks);

/// The text before the first occurrence of each stop text in turn.
MOE_API std::string_view cut_at(std::string_view text, std::span<const std::string> stop);

}  // namespace moe::inline MOE_ABI::eval

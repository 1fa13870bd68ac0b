#pragma once
// Greedy replies as in the reference harness: the next token, the end, and the text of a reply.

#include "batch/tree_plan.hpp"
#include "eval/run/request_plan.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

MOE_API batch::TreePlan plan_replies(const EncodedContexts& encoded, std::span<const GenerateRequest> requests,
                                     const batch::TreeLimits& limits);

/// Fills in `encoded.replies`. A reply whose logits are not finite fails, others are not affected. A step
/// computes up to `batch_tokens` new tokens.
/// Errors: cancelled, out_of_memory (a cache below plan.least_pages: before the first step), bad_argument (from the
/// tokenizer).
MOE_API Result<void> run_replies(Session& session, std::int64_t batch_tokens, const batch::TreePlan& plan,
                                 std::span<const GenerateRequest> requests, EncodedContexts& encoded,
                                 const Hooks& hooks);

/// The text before the first occurrence of each stop text in turn.
MOE_API std::string_view cut_at(std::string_view text, std::span<const std::string> stop);

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// Attribution of exact FLOPs to the requests of a run.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

#include "batch/tree_plan.hpp"
#include "moe/flops.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::batch {

/// The first request that needs the node.
inline std::int32_t first_request(const TreePlan& plan, const PrefixNode& node) {
  if (node.request >= 0) return node.request;
  std::int32_t first = std::numeric_limits<std::int32_t>::max();
  for (std::int32_t pass = node.first_pass; pass < node.last_pass; ++pass)
    for (const std::int32_t request : plan.passes.requests[static_cast<std::size_t>(pass)])
      first = std::min(first, request);
  return first;
}

/// Experts of an item's new tokens: those of recomputed ones were counted when they were new.
inline std::int64_t new_experts(const StepOutput& output, std::size_t item) {
  return output.expert_counts[item] - output.recomputed_experts[item];
}

/// FLOPs of a step for one sequence, as counted by the Session; `experts`: StepOutput::expert_counts.
inline std::int64_t flops_of(const ModelConfig& config, std::int64_t cached_tokens, std::int64_t new_tokens,
                             std::int64_t rows, std::int64_t experts) {
  return forward_work(config, cached_tokens, new_tokens, rows, MlaForm::absorbed, experts).total();
}
/// The same for a step that has run, which says how many tokens it recomputed: that depends on whether a sequence only
/// grew, or was rewound or forked.
inline std::int64_t flops_of(const ModelConfig& config, std::int64_t cached_tokens, std::int64_t new_tokens,
                             std::int64_t rows, std::size_t item, const StepOutput& output) {
  const std::int64_t again = output.recomputed_counts[item];
  Work work = detail::appended_work(config, cached_tokens - again, new_tokens + again, rows, MlaForm::absorbed);
  work.routed_experts = routed_expert_flops(config, output.expert_counts[item]);
  return work.total();
}

}  // namespace moe::inline MOE_ABI::batch

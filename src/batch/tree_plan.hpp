#pragma once
// The prefix tree of a run with the cache pages that it needs, known before anything is computed.

#include <cstdint>
#include <span>
#include <vector>

#include "batch/prefix_tree.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::batch {

inline constexpr std::int64_t kAllRows = std::int64_t{1} << 40;

/// Pages of a sequence of so many tokens, and the full ones, which forks share permanently.
constexpr std::int64_t pages_of(std::int64_t tokens) { return tokens / kPageTokens + (tokens % kPageTokens != 0); }
constexpr std::int64_t full_pages_of(std::int64_t tokens) { return tokens / kPageTokens; }

struct TreePlan {
  Passes passes;
  /// Puts the child that needs the most pages last among its siblings; fills in `pages`.
  std::vector<PrefixNode> nodes;
  std::int64_t least_pages = 0;  ///< pages that the run needs
  std::int64_t all_pages = 0;    ///< pages with which nothing ever waits for room
  std::int64_t reply_pages = 0;  ///< of the longest prompt with its reply
};

/// Limits that shape the tree.
struct TreeLimits {
  bool share_prefixes = true;
  std::int64_t most_rows = kAllRows;  ///< of logits of a node; longer ones are divided
  std::int64_t long_rope = 0;         ///< LongRoPE's original context; 0: the model has another RoPE
};

/// TreeLimits::long_rope of a model.
MOE_API std::int64_t long_rope_of(const ModelConfig& config);

/// The most rows of logits of one step that scores: where they are read in slices, any number.
MOE_API std::int64_t most_scored_rows(const ModelConfig& config, const SessionOptions& options);

MOE_API TreePlan plan_passes(Passes passes, const TreeLimits& limits);
/// Every reply is a node below its prompt, first among siblings that need the same pages.
/// max_tokens[i]: of the reply to request i.
MOE_API TreePlan plan_replies(Passes prompts, std::span<const std::int64_t> max_tokens, const TreeLimits& limits);
/// Of the nodes of a plan: long ones as chains of nodes with at most `most` tokens each, beside those that are kept.
/// Replies, and nodes that return logits of all their positions, stay whole.
MOE_API std::vector<PrefixNode> divide_nodes(std::span<const PrefixNode> nodes, std::int64_t most);
/// The prompts as passes: the logits of the last token of each are needed.
MOE_API Passes collect_prompts(const Inputs& prompts, std::span<const std::int32_t> group = {});

}  // namespace moe::inline MOE_ABI::batch

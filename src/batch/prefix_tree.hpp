#pragma once
// All forward passes of a run as one tree, so that every shared prefix is computed once.

#include <cstdint>
#include <span>
#include <vector>

#include "batch/passes.hpp"

namespace moe::inline MOE_ABI::batch {

/// Tokens shared by passes [first_pass, last_pass), at positions [begin, end).
struct PrefixNode {
  std::int32_t parent = -1;
  std::int32_t first_pass = 0, last_pass = 0;
  std::int64_t begin = 0, end = 0;
  Logits logits = Logits::none;
  std::int32_t child_count = 0, first_child = -1, next_sibling = -1;
  // Filled in by tree_plan.hpp:
  std::int32_t request = -1;     ///< of a reply: tokens come one by one, `end` is its latest end
  std::int64_t pages = 0;        ///< of the cache, for this node, its ancestors and everything below
  std::int64_t reply_pages = 0;  ///< for the replies to a prompt that ends here
  // Of roots, set where sequences are kept: the kept sequence that holds the root's first tokens.
  std::int64_t kept = -1, kept_tokens = 0;
  std::int64_t token_count() const { return end - begin; }
  std::int64_t row_count() const { return logits == Logits::none ? 0 : logits == Logits::last ? 1 : token_count(); }
};

/// `passes` are sorted by group and tokens (lexicographically), those of a group distinct. Parents precede their
/// children, roots are linked as siblings from node 0. `share` false: every pass is a separate branch. Nodes that
/// return logits of all their positions have at most `max_rows` of them.
MOE_API std::vector<PrefixNode> build_prefix_tree(std::span<const Pass> passes, bool share, std::int64_t max_rows);

}  // namespace moe::inline MOE_ABI::batch

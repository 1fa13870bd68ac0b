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
  std::int64_t again_pages = 0;  ///< of a reply: those that it shares until LongRoPE makes it compute them again
  // Of roots, set where sequences are kept: the kept sequence that holds the root's first tokens.
  std::int64_t kept = -1, kept_tokens = 0;
  std::int64_t token_count() const { return end - begin; }
  std::int64_t row_count() const { return logits == Logits::none ? 0 : logits == Logits::last ? 1 : token_count(); }
};

/// `passes` are sorted by group and tokens (lexicographically), those of a group distinct. Parents precede their
/// children, roots are linked as siblings from node 0. `share` false: every pass is a separate branch. Nodes that
/// return logits of all their positions have at most `max_rows` of them.
///
/// `long_rope` > 0: LongRoPE turns all positions of a pass otherwise once it is longer than this, as in one piece. Such
/// passes share nothing with shorter ones, behind which they must stand, and at least `long_rope` + 1 tokens with each
/// other; none of their nodes ends before that. So the logits of a pass do not depend on others.
MOE_API std::vector<PrefixNode> build_prefix_tree(std::span<const Pass> passes, bool share, std::int64_t max_rows,
                                                  std::int64_t long_rope = 0);

}  // namespace moe::inline MOE_ABI::batch

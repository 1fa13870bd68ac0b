#pragma once
// The traversal of a prefix tree by a Session: the next nodes, and sequences whose children are not all computed.

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "batch/kept_sequences.hpp"
#include "batch/tree_plan.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::batch {

/// The room of the next step.
struct StepRoom {
  std::size_t nodes = std::numeric_limits<std::size_t>::max();
  std::int64_t tokens = 0;  ///< one node may have more than these
  std::int64_t rows = 0;
  std::int64_t states = std::numeric_limits<std::int64_t>::max();  ///< recurrent ones of waiting branches and the step
  std::int64_t promised_pages = 0;                                 ///< free ones reserved for running replies
  bool is_empty = true;                                            ///< the step is empty, so it always takes a node
};

/// A node in a step. Nodes of a step are in the order of the walk.
struct StepNode {
  std::int32_t node = -1;
  std::size_t level = 0;          ///< of its parent in the stack of branches
  bool is_last = false;           ///< of its siblings
  std::int64_t shared_pages = 0;  ///< full pages in common with what comes after it
};
using TreeStep = std::vector<StepNode>;

/// StepRoom::states of a step that is empty: any number where SessionOptions::state_bytes is not set.
MOE_API std::int64_t most_states(const Session& session);

/// Errors: out_of_memory when `free_pages` are fewer than the least that the tree needs, naming both.
MOE_API Result<void> check_room(std::int64_t free_pages, const TreePlan& plan);
inline Result<void> check_room(const Session& session, const TreePlan& plan) {
  return check_room(session.free_tokens() / kPageTokens, plan);
}

/// A step may need more pages than the walk counts: where sequences are recomputed past LongRoPE's original context,
/// the old pages stay until the step is done. A step of fewer sequences may fit.
inline bool may_fit_in_parts(const Error& error, const Session& session) {
  return error.code == ErrorCode::out_of_memory && session.model().config().rope.scaling == RopeScaling::longrope;
}

/// Depth first, so that few branches wait, with as many nodes in a step as the invariant of tree_walk.cpp allows.
/// A step is planned, opened, and finished or abandoned; planning changes nothing.
class TreeWalk {
 public:
  /// All must outlive the walk. Only replies may open other sequences in `session` meanwhile. `kept` may
  /// be null: roots of the plan may begin with tokens that it holds, and its pages count as free.
  TreeWalk(Session& session, const TreePlan& plan, KeptSequences* kept = nullptr);
  ~TreeWalk();
  TreeWalk(const TreeWalk&) = delete;
  TreeWalk& operator=(const TreeWalk&) = delete;

  Result<void> check_room() const { return batch::check_room(page_limit_, plan_); }
  const PrefixNode& at(std::int32_t node) const { return nodes_[static_cast<std::size_t>(node)]; }
  bool is_done() const { return branches_.empty(); }

  /// At least one node where `room` is empty.
  TreeStep plan(const StepRoom& room) const;
  /// Appends one item per node, its sequence at the node's begin. Replies have no tokens yet.
  /// Errors: out_of_memory; then nothing is open.
  Result<void> open(const TreeStep& step, std::vector<BatchItem>& items);
  /// The step failed: all is as before open().
  void abandon(const TreeStep& step, std::span<const BatchItem> items);
  /// The nodes are computed; their children come next. The sequence of a reply now belongs to the caller.
  void finish(const TreeStep& step, std::span<const BatchItem> items);
  /// The single node of the step cannot be computed: skips everything below it.
  void give_up(const TreeStep& step);

  /// Pages that branches which wait for their children hold.
  std::int64_t held_pages() const { return branches_.empty() ? 0 : branches_.back().pages; }
  /// The invariant of tree_walk.cpp, branch by branch: what is left can be computed in the cache.
  bool can_finish() const;

  /// Leaves out children of a node that is in the step just done: drop(child).
  template <class Drop>
  void drop_children(std::int32_t node, Drop&& drop);

 private:
  // A node whose children are not all computed; the lowest one of the stack represents the root.
  struct Branch {
    std::int32_t node = -1, next = -1;  // the first child to come
    Sequence sequence = -1;
    std::int64_t shared_pages = 0;  // full pages in common with the branch below
    std::int64_t pages = 0;         // of this branch and all below it
  };
  std::int64_t end_of(const Branch& b) const { return b.node < 0 ? 0 : at(b.node).end; }
  std::int64_t free_pages() const {
    return session_.free_tokens() / kPageTokens + (kept_ != nullptr ? kept_->pages() : 0);
  }
  // Tokens of the node that need not be computed.
  std::int64_t cached_tokens(const PrefixNode& node) const {
    return kept_ != nullptr && node.kept >= 0 && kept_->holds(node.kept) ? node.kept_tokens : 0;
  }
  std::span<const TokenId> tokens(const PrefixNode& node) const;
  Result<Sequence> open(const StepNode& node);
  // Recurrent states that the node and what follows it need beside those of waiting branches.
  std::int64_t states_of(const PrefixNode& node) const {
    return 1 + (node.child_count > 0 || node.request >= 0 || cached_tokens(node) > 0);
  }
  bool continues_parent(const StepNode& node) const { return node.is_last && branches_[node.level].node >= 0; }

  Session& session_;
  const TreePlan& plan_;
  KeptSequences* kept_;
  std::vector<PrefixNode> nodes_;
  std::vector<Branch> branches_;  // a stack
  std::vector<Sequence> opened_;  // for the step that is open: neither finished nor abandoned
  std::int64_t page_limit_ = 0;   // pages that were free at the start, or kept
};

template <class Drop>
void TreeWalk::drop_children(std::int32_t node, Drop&& drop) {
  PrefixNode& parent = nodes_[static_cast<std::size_t>(node)];
  std::int32_t* link = &parent.first_child;
  while (*link >= 0) {
    PrefixNode& child = nodes_[static_cast<std::size_t>(*link)];
    if (drop(child)) {
      *link = child.next_sibling;
      --parent.child_count;
    } else {
      link = &child.next_sibling;
    }
  }
}

}  // namespace moe::inline MOE_ABI::batch

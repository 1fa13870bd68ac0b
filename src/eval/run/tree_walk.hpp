#pragma once
// A prefix tree on its way through a Session: which nodes are ready, and which sequences still have children to come.

#include <cstdint>
#include <vector>

#include "eval/run/prefix_tree.hpp"
#include "eval/run/request_plan.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

/// What a sequence may occupy beyond its tokens, in tokens (caches are paged).
inline constexpr std::int64_t kPageSlack = 64;

/// Rows of logits held at one time: 128 MiB, 220 rows of a vocabulary of 152,000.
std::int64_t max_logit_rows(std::int64_t vocab_size);

/// Depth first, so that few sequences wait for their children. A node's sequence lives until its last child took it
/// over, unless somebody keeps it.
class TreeWalk {
 public:
  TreeWalk(Session& session, const Passes& passes, std::vector<PrefixNode> nodes);
  ~TreeWalk();
  TreeWalk(const TreeWalk&) = delete;
  TreeWalk& operator=(const TreeWalk&) = delete;

  const PrefixNode& at(std::int32_t node) const { return nodes_[static_cast<std::size_t>(node)]; }
  bool has_ready() const { return !ready_.empty(); }
  std::int32_t next() const { return ready_.back(); }
  void take_next() { ready_.pop_back(); }
  /// The nodes stand on top again, the first one first.
  void put_back(const std::vector<std::int32_t>& nodes);
  /// The children of these nodes come next.
  void push_children(const std::vector<std::int32_t>& nodes);

  /// A sequence that holds what stands above the node. Errors: out_of_memory.
  Result<Sequence> sequence_for(std::int32_t node);
  std::span<const TokenId> tokens(std::int32_t node) const;
  /// The node was computed in `sequence`; what nothing will continue is closed.
  void finish(std::int32_t node, Sequence sequence);
  /// The node cannot be computed: nothing below it will be.
  void give_up(std::int32_t node) { release_parent(node); }
  Sequence sequence(std::int32_t node) const { return sequence_[static_cast<std::size_t>(node)]; }

 private:
  void push_siblings(std::int32_t first);
  void release_parent(std::int32_t node);
  void close(std::int32_t node);

  Session& session_;
  const Passes& passes_;
  std::vector<PrefixNode> nodes_;
  std::vector<Sequence> sequence_;
  std::vector<std::int32_t> children_left_, ready_;
};

}  // namespace moe::inline MOE_ABI::eval

#include "eval/run/tree_walk.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::eval {

std::int64_t max_logit_rows(std::int64_t vocab_size) {
  constexpr std::int64_t kLogitBytes = std::int64_t{128} << 20;
  return std::clamp<std::int64_t>(kLogitBytes / (4 * vocab_size), 1, 4096);
}

TreeWalk::TreeWalk(Session& session, const Passes& passes, std::vector<PrefixNode> nodes)
    : session_(session), passes_(passes), nodes_(std::move(nodes)) {
  sequence_.assign(nodes_.size(), -1);
  children_left_.resize(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) children_left_[i] = nodes_[i].child_count;
  push_siblings(nodes_.empty() ? -1 : 0);
}

TreeWalk::~TreeWalk() {
  for (Sequence s : sequence_)
    if (s >= 0) static_cast<void>(session_.close(s));
}

void TreeWalk::put_back(const std::vector<std::int32_t>& nodes) {
  ready_.insert(ready_.end(), nodes.rbegin(), nodes.rend());
}

void TreeWalk::push_children(const std::vector<std::int32_t>& nodes) {
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) push_siblings(at(*node).first_child);
}

// The first sibling ends on top of the stack.
void TreeWalk::push_siblings(std::int32_t first) {
  const std::size_t bottom = ready_.size();
  for (std::int32_t i = first; i >= 0; i = at(i).next_sibling) ready_.push_back(i);
  std::reverse(ready_.begin() + static_cast<std::ptrdiff_t>(bottom), ready_.end());
}

Result<Sequence> TreeWalk::sequence_for(std::int32_t node) {
  const std::int32_t parent = at(node).parent;
  return parent < 0 ? session_.open() : session_.fork(sequence_[static_cast<std::size_t>(parent)]);
}

std::span<const TokenId> TreeWalk::tokens(std::int32_t node) const {
  const PrefixNode& n = at(node);
  const auto pass = passes_.list[static_cast<std::size_t>(n.first_pass)].tokens;
  return pass.subspan(static_cast<std::size_t>(n.begin), static_cast<std::size_t>(n.token_count()));
}

void TreeWalk::finish(std::int32_t node, Sequence sequence) {
  sequence_[static_cast<std::size_t>(node)] = sequence;
  if (at(node).child_count == 0) close(node);
  release_parent(node);
}

void TreeWalk::release_parent(std::int32_t node) {
  const std::int32_t parent = at(node).parent;
  if (parent >= 0 && --children_left_[static_cast<std::size_t>(parent)] == 0) close(parent);
}

void TreeWalk::close(std::int32_t node) {
  Sequence& sequence = sequence_[static_cast<std::size_t>(node)];
  if (sequence >= 0) static_cast<void>(session_.close(sequence));
  sequence = -1;
}

}  // namespace moe::inline MOE_ABI::eval

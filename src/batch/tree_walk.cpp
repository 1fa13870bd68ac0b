#include "batch/tree_walk.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "model/sequence_states.hpp"

// Why the walk never runs out of pages. Waiting branches form a stack, in the order of the tree; pages that a branch
// shares with the one below it are counted once.
//
// Invariant: for every branch, its pages, those of all branches below it, and those that its children need in addition,
// computed one after another, fit in the cache. So the next child of the top branch can always be computed alone, and a
// branch leaves the stack with its last child. At the start the invariant says that no root needs more pages than the
// cache has (TreePlan::least_pages); a step takes only as many nodes as keep it true.
//
// Pages of kept sequences count as free, because dropping them gives back all that no branch shares. Replies being
// written are not branches: the pages that they may still need are reserved for them.
//
// Recurrent states are limited, too, but without an invariant: a dropped state can be computed again. A node takes one
// state, for its end. If nodes follow below, it reserves another for the end of one of them, so that waiting branches
// never take all states. A reply takes two: its last state and the one before the step.

namespace moe::inline MOE_ABI::batch {
namespace {

// The branches that a step leaves waiting, put under each other one by one.
class NewBranches {
 public:
  // The next node of the walk; `shared_pages` are those in common with what comes after it.
  void add(const PrefixNode& node, std::int64_t shared_pages) {
    if (node.child_count == 0) {
      shared_with_next_ = std::min(shared_with_next_, shared_pages);
      return;
    }
    above_ += last_ - shared_with_next_;
    last_ = pages_of(node.end);
    shared_with_next_ = shared_pages;
    beyond_ = std::max(beyond_, node.pages - last_ - above_);
  }
  // Most pages that these branches hold while the children of any of them are computed.
  std::int64_t most_pages() const { return above_ + last_ - shared_with_next_ + beyond_; }

 private:
  std::int64_t last_ = 0, shared_with_next_ = 0;  // the lowest one: its pages
  std::int64_t above_ = 0;                        // pages of those above it
  std::int64_t beyond_ = 0;  // most that the children of one take, less what those above it have given back by then
};

}  // namespace

TreeWalk::TreeWalk(Session& session, const TreePlan& plan, KeptSequences* kept)
    : session_(session), plan_(plan), kept_(kept), nodes_(plan.nodes), page_limit_(free_pages()) {
  if (!nodes_.empty()) branches_.push_back({-1, 0, -1, 0, 0});
}

TreeWalk::~TreeWalk() {
  for (const Branch& b : branches_)
    if (b.sequence >= 0) static_cast<void>(session_.close(b.sequence));
  // Of a step that a failed allocation ended.
  for (const Sequence sequence : opened_) static_cast<void>(session_.close(sequence));
}

std::int64_t most_states(const Session& session) {
  return SequenceStates::step_limit(session.model().config(), session.options());
}

Result<void> check_room(std::int64_t free_pages, const TreePlan& plan) {
  if (plan.least_pages <= free_pages) return {};
  return fail(
      ErrorCode::out_of_memory,
      fmt::format("the key/value cache has room for {} tokens, and these requests need at least {} (the longest "
                  "one with what others share with it)",
                  free_pages * kPageTokens, plan.least_pages * kPageTokens));
}

bool TreeWalk::can_finish() const {
  return std::all_of(branches_.begin(), branches_.end(), [&](const Branch& b) {
    const bool has_one_child = at(b.next).next_sibling < 0;
    const std::int64_t most = has_one_child ? at(b.next).pages : b.node < 0 ? plan_.least_pages : at(b.node).pages;
    return b.pages + most - pages_of(end_of(b)) <= page_limit_;
  });
}

TreeStep TreeWalk::plan(const StepRoom& room) const {
  TreeStep step;
  std::int64_t tokens = 0, rows = 0, free = free_pages() - room.promised_pages, replies = 0;
  auto states = std::count_if(branches_.begin(), branches_.end(), [](const Branch& b) { return b.node >= 0; });
  NewBranches waiting;
  for (std::size_t level = branches_.size(); level-- > 0;) {
    const Branch& parent = branches_[level];
    for (std::int32_t i = parent.next; i >= 0; i = at(i).next_sibling) {
      const PrefixNode& node = at(i);
      const bool is_last = node.next_sibling < 0;
      const std::int64_t shared = is_last ? parent.shared_pages : full_pages_of(end_of(parent));
      const std::int64_t pages_below = !is_last ? parent.pages : level > 0 ? branches_[level - 1].pages : 0;
      waiting.add(node, shared);
      tokens += node.request >= 0 ? 1 : node.token_count() - cached_tokens(node);
      rows += node.row_count();
      states += states_of(node);
      // The last child continues in its parent's sequence.
      free -= pages_of(node.end) - (is_last ? pages_of(end_of(parent)) : full_pages_of(end_of(parent)));
      free -= node.again_pages;
      const bool has_room = pages_below + waiting.most_pages() <= page_limit_ && free >= 0;
      MOE_ASSERT(has_room || !step.empty() || !room.is_empty);
      // A prompt starts only when its replies can begin at once; before that it would only use room.
      replies += node.reply_pages;
      const bool fits = has_room && replies <= free && rows <= room.rows && states <= room.states &&
                        (tokens <= room.tokens || (step.empty() && room.tokens > 0));
      if (step.size() == room.nodes || (!fits && !(step.empty() && room.is_empty))) return step;
      step.push_back({i, level, is_last, shared});
    }
  }
  return step;
}

Result<Sequence> TreeWalk::open(const StepNode& node) {
  const Branch& parent = branches_[node.level];
  if (parent.node < 0) {
    const std::int64_t cached = cached_tokens(at(node.node));
    return cached > 0 ? kept_->fork(at(node.node).kept, cached) : session_.open();
  }
  return node.is_last ? Result<Sequence>(parent.sequence) : session_.fork(parent.sequence);
}

Result<void> TreeWalk::open(const TreeStep& step, std::vector<BatchItem>& items) {
  const std::size_t before = items.size();
  // Allocates everything up to finish(), so that a failed allocation loses no sequence.
  items.reserve(before + step.size());
  opened_.reserve(step.size());
  branches_.reserve(branches_.size() + step.size());
  for (const StepNode& node : step) {
    const auto sequence = open(node);
    if (!sequence) {
      abandon(step, std::span(items).subspan(before));
      items.resize(before);
      return forward(sequence);
    }
    if (!continues_parent(node)) opened_.push_back(*sequence);
    const auto cached = static_cast<std::size_t>(*session_.length(*sequence) - at(node.node).begin);
    items.push_back({*sequence, tokens(at(node.node)).subspan(cached), at(node.node).logits});
  }
  return {};
}

void TreeWalk::abandon(const TreeStep& step, std::span<const BatchItem> items) {
  for (std::size_t i = 0; i < items.size(); ++i)
    if (!continues_parent(step[i])) static_cast<void>(session_.close(items[i].sequence));
  opened_.clear();
}

std::span<const TokenId> TreeWalk::tokens(const PrefixNode& node) const {
  if (node.request >= 0) return {};
  const auto pass = plan_.passes.list[static_cast<std::size_t>(node.first_pass)].tokens;
  return pass.subspan(static_cast<std::size_t>(node.begin), static_cast<std::size_t>(node.token_count()));
}

void TreeWalk::finish(const TreeStep& step, std::span<const BatchItem> items) {
  opened_.clear();
  if (step.empty()) return;
  // Branches above the last node's parent have no children left; the last one of each has taken over its sequence.
  branches_.resize(step.back().level + 1);
  branches_.back().next = at(step.back().node).next_sibling;
  if (branches_.back().next < 0) branches_.pop_back();
  std::int64_t shared = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = step.size(); i-- > 0;) {
    const PrefixNode& node = at(step[i].node);
    shared = std::min(shared, step[i].shared_pages);
    if (node.request >= 0) continue;
    if (node.first_child < 0) {
      static_cast<void>(session_.close(items[i].sequence));
      continue;
    }
    const std::int64_t below = branches_.empty() ? 0 : branches_.back().pages;
    branches_.push_back(
        {step[i].node, node.first_child, items[i].sequence, shared, below + pages_of(node.end) - shared});
    shared = std::numeric_limits<std::int64_t>::max();
  }
  // What roots share with a kept sequence is counted for each of them, and held once.
  MOE_ASSERT((kept_ != nullptr || held_pages() <= page_limit_ - free_pages()) && can_finish());
}

void TreeWalk::give_up(const TreeStep& step) {
  MOE_ASSERT(step.size() == 1 && step[0].level + 1 == branches_.size());
  Branch& parent = branches_.back();
  parent.next = at(step[0].node).next_sibling;
  if (parent.next >= 0) return;
  if (parent.sequence >= 0) static_cast<void>(session_.close(parent.sequence));
  branches_.pop_back();
}

}  // namespace moe::inline MOE_ABI::batch

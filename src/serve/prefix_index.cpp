#include "serve/prefix_index.hpp"

#include <algorithm>
#include <utility>

namespace moe::inline MOE_ABI::serve {

PrefixIndex::PrefixIndex(StepEngine& engine, std::int64_t max_tokens) : engine_(engine), max_tokens_(max_tokens) {}

PrefixIndex::Node* PrefixIndex::root(std::string_view salt) const {
  const auto found = roots_.find(salt);
  return found == roots_.end() ? nullptr : found->second.get();
}

PrefixIndex::Place PrefixIndex::walk(Node& root, std::span<const TokenId> tokens) {
  Place at{&root, 0, 0};
  for (;;) {
    const auto rest = tokens.subspan(at.matched);
    const auto edge = std::span(at.node->tokens).subspan(at.offset);
    const auto common = static_cast<std::size_t>(
        std::mismatch(edge.begin(), edge.end(), rest.begin(), rest.end()).first - edge.begin());
    at.offset += common, at.matched += common;
    if (common < edge.size() || common == rest.size()) return at;
    const auto child = at.node->children.find(rest[common]);
    if (child == at.node->children.end()) return at;
    at.node = child->second.get(), at.offset = 0;
  }
}

std::int64_t PrefixIndex::match(std::string_view salt, std::span<const TokenId> tokens) const {
  Node* tree = root(salt);
  return tree == nullptr ? 0 : static_cast<std::int64_t>(walk(*tree, tokens).matched);
}

std::vector<TokenScore> PrefixIndex::scores(std::string_view salt, std::span<const TokenId> tokens,
                                            std::int64_t from) const {
  std::vector<TokenScore> out;
  const Node* node = root(salt);
  std::size_t begin = 0;  // of the node's tokens
  while (node != nullptr) {
    for (std::size_t i = 0; i < node->tokens.size(); ++i) {
      if (begin + i >= tokens.size() || node->tokens[i] != tokens[begin + i]) return out;
      if (begin + i < static_cast<std::size_t>(from)) continue;
      if (node->scores.empty() || !node->scores[i].is_known()) return out;
      out.push_back(node->scores[i]);
    }
    begin += node->tokens.size();
    if (begin >= tokens.size()) break;
    const auto child = node->children.find(tokens[begin]);
    node = child == node->children.end() ? nullptr : child->second.get();
  }
  return out;
}

PrefixIndex::Node& PrefixIndex::some_leaf(Node& below) {
  Node* node = &below;
  while (!node->children.empty()) node = node->children.begin()->second.get();
  return *node;
}

Result<Sequence> PrefixIndex::fork(std::string_view salt, std::span<const TokenId> tokens) {
  Node* tree = root(salt);
  const Place at = tree == nullptr ? Place{} : walk(*tree, tokens);
  if (at.matched < tokens.size() || tokens.empty()) return fail(ErrorCode::not_found, "the kept prefix is gone");
  Node& leaf = some_leaf(*at.node);
  touch(leaf);
  return fork_at(engine_, leaf.sequence, static_cast<std::int64_t>(tokens.size()));
}

void PrefixIndex::set_leaf(Node& node, Sequence sequence) {
  node.sequence = sequence;
  leaves_[sequence] = &node;
}

// The node keeps its first `offset` tokens; a new child takes the rest and all children.
void PrefixIndex::split(Node& node, std::size_t offset) {
  auto lower = std::make_unique<Node>();
  const auto cut = static_cast<std::ptrdiff_t>(offset);
  lower->tokens.assign(node.tokens.begin() + cut, node.tokens.end());
  node.tokens.resize(offset);
  if (!node.scores.empty()) {
    lower->scores.assign(node.scores.begin() + cut, node.scores.end());
    node.scores.resize(offset);
  }
  lower->children = std::exchange(node.children, {});
  for (auto& [token, child] : lower->children) child->parent = lower.get();
  lower->parent = &node;
  lower->last_use = node.last_use;
  if (node.sequence >= 0) set_leaf(*lower, std::exchange(node.sequence, -1));
  const TokenId first = lower->tokens.front();
  node.children.emplace(first, std::move(lower));
}

void PrefixIndex::set_scores(Node& tree, std::span<const TokenId> tokens, std::span<const TokenScore> scores) {
  Node* node = &tree;
  std::size_t begin = 0;
  for (;;) {
    for (std::size_t i = 0; i < node->tokens.size(); ++i) {
      if (begin + i >= std::min(tokens.size(), scores.size())) return;
      if (!scores[begin + i].is_known()) continue;
      node->scores.resize(node->tokens.size());
      node->scores[i] = scores[begin + i];
    }
    begin += node->tokens.size();
    if (begin >= tokens.size()) return;
    const auto child = node->children.find(tokens[begin]);
    if (child == node->children.end()) return;
    node = child->second.get();
  }
}

void PrefixIndex::insert(std::string_view salt, Sequence sequence, std::span<const TokenId> tokens,
                         std::span<const TokenScore> scores) {
  if (!is_on() || tokens.empty()) return close(sequence);
  auto found = roots_.find(salt);
  if (found == roots_.end()) found = roots_.emplace(salt, std::make_unique<Node>()).first;
  Node& tree = *found->second;
  const Place at = walk(tree, tokens);
  if (at.matched == tokens.size()) {
    set_scores(tree, tokens, scores);
    touch(some_leaf(*at.node));
    return close(sequence);
  }
  if (at.offset < at.node->tokens.size()) split(*at.node, at.offset);
  const auto rest = tokens.subspan(at.matched);
  Node* leaf = at.node;
  if (leaf->sequence >= 0) {  // the new one extends it
    leaves_.erase(leaf->sequence);
    close(leaf->sequence);
    leaf->tokens.insert(leaf->tokens.end(), rest.begin(), rest.end());
    if (!leaf->scores.empty()) leaf->scores.resize(leaf->tokens.size());
  } else {
    auto child = std::make_unique<Node>();
    child->tokens.assign(rest.begin(), rest.end());
    child->parent = leaf;
    leaf = at.node->children.emplace(rest.front(), std::move(child)).first->second.get();
  }
  set_leaf(*leaf, sequence);
  touch(*leaf);
  set_scores(tree, tokens, scores);
  enforce_limit();
}

// An inner node with a single child is merged with it.
void PrefixIndex::join_only_child(Node& node) {
  const std::unique_ptr<Node> child = std::move(node.children.begin()->second);
  if (!node.scores.empty() || !child->scores.empty()) {
    node.scores.resize(node.tokens.size());
    child->scores.resize(child->tokens.size());
    node.scores.insert(node.scores.end(), child->scores.begin(), child->scores.end());
  }
  node.tokens.insert(node.tokens.end(), child->tokens.begin(), child->tokens.end());
  node.children = std::exchange(child->children, {});
  for (auto& [token, below] : node.children) below->parent = &node;
  node.last_use = child->last_use;
  if (child->sequence >= 0) set_leaf(node, child->sequence);
}

void PrefixIndex::remove(Node& leaf) {
  leaves_.erase(leaf.sequence);
  close(leaf.sequence);
  Node& parent = *leaf.parent;
  const TokenId first = leaf.tokens.front();
  parent.children.erase(first);
  if (parent.parent != nullptr) {
    if (parent.children.size() == 1) join_only_child(parent);
  } else if (parent.children.empty()) {
    std::erase_if(roots_, [&](const auto& tree) { return tree.second.get() == &parent; });
  }
}

bool PrefixIndex::evict_one() {
  if (leaves_.empty()) return false;
  const auto older = [](const auto& a, const auto& b) { return a.second->last_use < b.second->last_use; };
  remove(*std::min_element(leaves_.begin(), leaves_.end(), older)->second);
  return true;
}

void PrefixIndex::enforce_limit() {
  if (engine_.cache_tokens() - engine_.free_tokens() <= max_tokens_) return;  // for nothing, and most often true
  while (!leaves_.empty() && tokens_held() > max_tokens_) evict_one();
}

void PrefixIndex::clear() {
  while (evict_one()) {
  }
}

std::vector<Sequence> PrefixIndex::leaves() const {
  std::vector<Sequence> out;
  for (const auto& [sequence, node] : leaves_) out.push_back(sequence);
  return out;
}

std::int64_t PrefixIndex::tokens_held() const { return engine_.closing_frees(leaves()); }

}  // namespace moe::inline MOE_ABI::serve

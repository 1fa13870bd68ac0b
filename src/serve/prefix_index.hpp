#pragma once
// Cached prefixes of earlier prompts and replies: a radix tree over their tokens. Its leaves are sequences; a prompt
// with a common prefix continues from a fork of one. Inner nodes own only tokens and scores.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serve/step_engine.hpp"
#include "serve/token_score.hpp"

namespace moe::inline MOE_ABI::serve {

/// Trees of different salts share nothing.
class PrefixIndex {
 public:
  /// Leaves hold at most `max_tokens` tokens of the cache (not counting shared pages), in whole pages.
  PrefixIndex(StepEngine& engine, std::int64_t max_tokens);
  ~PrefixIndex() { clear(); }
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  bool is_on() const { return max_tokens_ > 0; }
  /// Length of the longest prefix of `tokens` in a leaf.
  std::int64_t match(std::string_view salt, std::span<const TokenId> tokens) const;
  /// Scores of tokens[from], tokens[from + 1], ..., as far as they are known without a gap.
  std::vector<TokenScore> scores(std::string_view salt, std::span<const TokenId> tokens, std::int64_t from) const;
  /// A new sequence of these tokens, at least one. Errors: not_found, those of Session::fork.
  Result<Sequence> fork(std::string_view salt, std::span<const TokenId> tokens);

  /// Takes over a sequence of these tokens; scores[i] is of tokens[i], or unknown. Sequences that are a prefix of
  /// another are closed.
  void insert(std::string_view salt, Sequence sequence, std::span<const TokenId> tokens,
              std::span<const TokenScore> scores);
  /// Closes the leaf used least recently. False when there is none.
  bool evict_one();
  /// Closes leaves until they are within the limit. Call it after each step, because others may have released shared
  /// pages or copied them.
  void enforce_limit();
  void clear();

  /// Tokens of the cache that closing all leaves would free.
  std::int64_t tokens_held() const;
  std::size_t leaf_count() const { return leaves_.size(); }
  std::vector<Sequence> leaves() const;

 private:
  struct Node {
    std::vector<TokenId> tokens = {};     // on the edge that leads here
    std::vector<TokenScore> scores = {};  // of each of them, or empty
    Node* parent = nullptr;
    std::map<TokenId, std::unique_ptr<Node>> children = {};
    Sequence sequence = -1;  // of a leaf
    std::uint64_t last_use = 0;
  };
  // The end of a search: after the first `offset` tokens of the node.
  struct Place {
    Node* node = nullptr;
    std::size_t offset = 0;
    std::size_t matched = 0;
  };

  Node* root(std::string_view salt) const;
  static Place walk(Node& root, std::span<const TokenId> tokens);
  static Node& some_leaf(Node& below);
  void split(Node& node, std::size_t offset);
  void set_scores(Node& root, std::span<const TokenId> tokens, std::span<const TokenScore> scores);
  void touch(Node& leaf) { leaf.last_use = ++clock_; }
  void set_leaf(Node& node, Sequence sequence);
  void remove(Node& leaf);
  void join_only_child(Node& node);
  void close(Sequence sequence) { static_cast<void>(engine_.close(sequence)); }

  StepEngine& engine_;
  std::int64_t max_tokens_ = 0;
  std::map<std::string, std::unique_ptr<Node>, std::less<>> roots_;  // [salt]
  std::map<Sequence, Node*> leaves_;
  std::uint64_t clock_ = 0;
};

}  // namespace moe::inline MOE_ABI::serve

#pragma once
// The distinct forward passes of a run.

#include <cstdint>
#include <span>
#include <vector>

#include "moe/session.hpp"

namespace moe::inline MOE_ABI::batch {

/// The input tokens of each request. Neighbours with equal inputs (the letters of one question) share the tokens.
class Inputs {
 public:
  explicit Inputs(std::size_t count) : tokens_(count), owner_(count) {}
  void set(std::size_t i, std::vector<TokenId> tokens) {
    owner_[i] = i;
    if (i > 0 && tokens == tokens_[owner_[i - 1]])
      owner_[i] = owner_[i - 1];
    else
      tokens_[i] = std::move(tokens);
  }
  /// As set(), for a request that must not access its neighbour (the first one of another thread's task).
  void set_own(std::size_t i, std::vector<TokenId> tokens) {
    owner_[i] = i;
    tokens_[i] = std::move(tokens);
  }
  const std::vector<TokenId>& operator[](std::size_t i) const { return tokens_[owner_[i]]; }
  std::size_t size() const { return owner_.size(); }

 private:
  std::vector<std::vector<TokenId>> tokens_;
  std::vector<std::size_t> owner_;
};

/// A token sequence to run; logits are needed from `first_row` (0-based position) to its end.
struct Pass {
  std::span<const TokenId> tokens;
  std::int64_t first_row = 0;
  std::int32_t group = 0;  ///< passes of different groups share nothing
};

/// Requests with equal inputs are one pass; passes sorted by group, then by tokens.
struct Passes {
  std::vector<Pass> list;
  std::vector<std::vector<std::int32_t>> requests;  ///< [pass]
  std::int64_t longest = 0, tokens = 0;
};
/// first_row[i]: the first position of request i whose logits are read. Requests without input are left out.
/// group[i]: of request i; empty: all are one group.
MOE_API Passes collect_passes(const Inputs& inputs, std::span<const std::int64_t> first_row,
                              std::span<const std::int32_t> group = {});

}  // namespace moe::inline MOE_ABI::batch

#pragma once
// Byte-pair merges of one piece.

#include <cstdint>
#include <string_view>
#include <vector>

#include "moe/error.hpp"
#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// Pair of ids to rank and merged id; open addressing.
class MergeTable {
 public:
  struct Merge {
    std::uint64_t pair = kEmpty;
    std::uint32_t rank = 0;
    TokenId merged = 0;
  };

  explicit MergeTable(std::size_t expected = 0);
  /// A pair that is there already keeps its merge unless `replace`.
  void insert(TokenId left, TokenId right, std::uint32_t rank, TokenId merged, bool replace);
  /// Calls `visit(left, right, merged)` for every pair, in no order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Merge& m : slots_)
      if (m.pair != kEmpty)
        visit(static_cast<TokenId>(m.pair >> 32), static_cast<TokenId>(m.pair & 0xffffffff), m.merged);
  }
  const Merge* find(TokenId left, TokenId right) const {
    const std::uint64_t pair = key(left, right);
    for (std::size_t i = slot(pair);; i = (i + 1) & mask_) {
      if (slots_[i].pair == pair) return &slots_[i];
      if (slots_[i].pair == kEmpty) return nullptr;
    }
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  static std::uint64_t key(TokenId left, TokenId right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t slot(std::uint64_t pair) const {
    return static_cast<std::size_t>((pair * 0x9e3779b97f4a7c15u) >> shift_);
  }

  std::vector<Merge> slots_;
  std::size_t mask_ = 0;
  int shift_ = 0;
};

/// Reusable memory of the merge loop.
struct MergeScratch {
  struct Node {
    TokenId id;
    std::uint32_t previous, next;  // kNone at the ends; `next` == itself: merged away
  };
  struct Candidate {
    std::uint32_t rank, at;
    TokenId left, right, merged;
  };
  std::vector<TokenId> symbols;
  std::vector<std::uint32_t> ranks;
  std::vector<TokenId> merged;
  std::vector<Node> nodes;
  std::vector<Candidate> heap;
};

/// Merges `scratch.symbols` in place: always the pair of lowest rank, the leftmost of equals. O(n log n).
void merge_symbols(const MergeTable& table, MergeScratch& scratch);

/// Ids of short pieces seen before. A fixed size, newer entries replace older ones.
class WordCache {
 public:
  static constexpr std::size_t kMaxBytes = 26, kMaxIds = 9;

  WordCache() : slots_(kSlots) {}
  /// The slot of a word of 1 .. kMaxBytes bytes; `hit` says whether it holds the word.
  struct alignas(64) Slot {  // one cache line
    std::uint8_t length = 0, count = 0;
    char word[kMaxBytes] = {};
    TokenId ids[kMaxIds] = {};
  };
  Slot& slot(std::string_view word);

 private:
  static constexpr std::size_t kSlots = 1 << 14;  // 1 MiB: most words of a language; fits the L2 cache
  std::vector<Slot> slots_;
};

}  // namespace moe::inline MOE_ABI::tokenizer

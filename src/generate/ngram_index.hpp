#pragma once
// Look-up of the last tokens of a text in the text itself: what followed them before may follow them again (code that
// is rewritten, quotations, lists).

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "moe/token.hpp"

namespace moe::inline MOE_ABI::generate {

class NgramIndex {
 public:
  /// Where the longest of the last tokens stood before; of equal ones the latest.
  struct Match {
    std::size_t next = 0;    ///< position behind it
    std::size_t length = 0;  ///< tokens in common, at most kLongest; 0: none
  };
  static constexpr std::size_t kShortest = 2, kLongest = 32;

  /// Indexes what is new: `text` is that of the last call with more tokens behind it.
  void extend(std::span<const TokenId> text);
  /// Of a text that is indexed to its end.
  Match find(std::span<const TokenId> text) const;

 private:
  std::unordered_map<std::uint64_t, std::int32_t> last_;  // two tokens -> position of the second one, the latest
  std::vector<std::int32_t> before_;                      // [position] the one before of the same two tokens, or -1
};

/// `count` tokens from `next` on; where the text ends, the copy itself goes on.
void copy_from(std::span<const TokenId> text, std::size_t next, std::int64_t count, std::vector<TokenId>& out);

}  // namespace moe::inline MOE_ABI::generate

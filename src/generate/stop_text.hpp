#pragma once
// Stop texts: searched while a reply is written; they may span several tokens.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::generate {

class StopTexts {
 public:
  /// Empty texts are ignored.
  explicit StopTexts(std::vector<std::string> texts);

  struct Found {
    std::size_t at = 0;    ///< its first byte
    std::size_t text = 0;  ///< which one
  };
  /// The first stop text that ends after byte `old_size`, the end of the previous search. Of several that begin at the
  /// same byte, the first of the list.
  std::optional<Found> find(std::string_view text, std::size_t old_size) const;

  /// Bytes at the end of `text` that may be the beginning of a stop text.
  std::size_t possible_beginning(std::string_view text) const;

  bool empty() const { return texts_.empty(); }
  const std::string& operator[](std::size_t i) const { return texts_[i]; }

 private:
  std::vector<std::string> texts_;
};

}  // namespace moe::inline MOE_ABI::generate

#pragma once
// Token ids from a command line.

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "moe/tokenizer.hpp"
#include "support/number.hpp"

namespace cli {

/// "1 2 3" or "1,2,3". Errors: bad_argument naming the first piece that is no number.
inline moe::Result<std::vector<moe::TokenId>> parse_ids(std::string_view text) {
  std::vector<moe::TokenId> ids;
  constexpr std::string_view kBetween = " ,\t\r\n";
  for (std::size_t at = text.find_first_not_of(kBetween); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    const auto id = moe::parse_number<moe::TokenId>("a token id", text.substr(at, end - at),
                                                    {0, std::numeric_limits<moe::TokenId>::max()});
    if (!id) return moe::forward(id);
    ids.push_back(*id);
    at = text.find_first_not_of(kBetween, end);
  }
  return ids;
}

}  // namespace cli

#pragma once
// Token ids from a command line, and whole characters while text is being generated.

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
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

/// Joins the bytes of tokens into whole UTF-8 characters: a character may come in several tokens.
class Utf8Stream {
 public:
  /// Takes the bytes of one token; returns what can be shown now.
  std::string push(std::string_view bytes) {
    held_ += bytes;
    std::size_t keep = 0;  // bytes at the end that may yet become a character
    for (std::size_t back = 1; back <= std::min<std::size_t>(3, held_.size()); ++back) {
      const auto lead = static_cast<unsigned char>(held_[held_.size() - back]);
      if (lead < 0x80) break;
      if (lead < 0xC0) continue;  // a continuation byte: look further back
      const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
      if (length > back) keep = back;
      break;
    }
    std::string out = held_.substr(0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
    return out;
  }
  /// What is left when no more tokens come.
  std::string finish() { return std::exchange(held_, {}); }

 private:
  std::string held_;
};

}  // namespace cli

#pragma once
// FNV-1a over fields, each with its length, so that the concatenation is unambiguous.

#include <cstdint>
#include <string_view>
#include <vector>

#include "moe/tokenizer.hpp"
#include "support/fnv1a.hpp"

namespace moe::inline MOE_ABI::tokenizer {

class Fingerprint {
 public:
  void add(std::string_view text) {
    number(text.size());
    hash_.update(text);
  }
  void number(std::uint64_t value) { hash_.update(value); }
  void ids(const std::vector<TokenId>& ids) {
    number(ids.size());
    for (TokenId id : ids) number(static_cast<std::uint64_t>(id));
  }
  std::uint64_t value() const { return hash_.value(); }

 private:
  Fnv1a hash_;
};

}  // namespace moe::inline MOE_ABI::tokenizer

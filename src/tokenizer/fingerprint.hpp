#pragma once
// FNV-1a over fields, each with its length, so that the concatenation is unambiguous.

#include <cstdint>
#include <string_view>
#include <vector>

#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

class Fingerprint {
 public:
  void add(std::string_view text) {
    number(text.size());
    for (char c : text) step(static_cast<unsigned char>(c));
  }
  void number(std::uint64_t value) {
    for (int i = 0; i < 8; ++i) step(static_cast<unsigned char>(value >> (8 * i)));
  }
  void ids(const std::vector<TokenId>& ids) {
    number(ids.size());
    for (TokenId id : ids) number(static_cast<std::uint64_t>(id));
  }
  std::uint64_t value() const { return hash_; }

 private:
  void step(unsigned char byte) { hash_ = (hash_ ^ byte) * 0x100000001b3u; }
  std::uint64_t hash_ = 0xcbf29ce484222325u;
};

}  // namespace moe::inline MOE_ABI::tokenizer

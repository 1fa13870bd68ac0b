#include "generate/ngram_index.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::generate {
namespace {

constexpr int kMostCompared = 64;  // places; keeps a step's search at microseconds in any text

std::uint64_t key_of(TokenId first, TokenId second) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(first)) << 32) | static_cast<std::uint32_t>(second);
}

}  // namespace

void NgramIndex::extend(std::span<const TokenId> text) {
  before_.reserve(text.size());
  for (std::size_t i = before_.size(); i < text.size(); ++i) {
    before_.push_back(-1);
    if (i == 0) continue;
    const auto [place, is_new] = last_.try_emplace(key_of(text[i - 1], text[i]), static_cast<std::int32_t>(i));
    if (is_new) continue;
    before_[i] = place->second;
    place->second = static_cast<std::int32_t>(i);
  }
}

NgramIndex::Match NgramIndex::find(std::span<const TokenId> text) const {
  Match best;
  if (text.empty()) return best;
  const std::size_t end = text.size() - 1;
  std::int32_t at = before_[end];
  for (int compared = 0; at >= 0 && compared < kMostCompared && best.length < kLongest; ++compared) {
    const auto place = static_cast<std::size_t>(at);
    std::size_t length = kShortest;
    const std::size_t longest = std::min(kLongest, place + 1);
    while (length < longest && text[place - length] == text[end - length]) ++length;
    if (length > best.length) best = {place + 1, length};
    at = before_[place];
  }
  return best;
}

void copy_from(std::span<const TokenId> text, std::size_t next, std::int64_t count, std::vector<TokenId>& out) {
  const std::size_t behind = out.size();
  for (std::size_t i = next; i < next + static_cast<std::size_t>(count); ++i)
    out.push_back(i < text.size() ? text[i] : TokenId(out[behind + i - text.size()]));
}

}  // namespace moe::inline MOE_ABI::generate

#include "tokenizer/token_texts.hpp"

#include <algorithm>
#include <bit>

#include "support/fnv1a.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

// FNV-1a with a final mix.
std::uint64_t hash_text(std::string_view text) {
  const std::uint64_t h = fnv1a(text);
  return h ^ (h >> 29);
}

bool is_word(char32_t c) { return char_classes()[c] & kWordCharacter; }

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  if (begin > 0 && is_word(decode_utf8(text.data() + previous_character(text, begin)).value)) return false;
  return end == text.size() || !is_word(decode_utf8(text.data() + end).value);
}

}  // namespace

TokenTexts::TokenTexts(const std::vector<std::string>& texts) {
  std::size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  block_.reserve(bytes);
  offsets_.reserve(texts.size() + 1);
  offsets_.push_back(0);
  for (const std::string& text : texts) {
    block_ += text;
    offsets_.push_back(block_.size());
  }
  index_.assign(std::bit_ceil(texts.size() * 2 + 16), -1);
  for (std::size_t id = 0; id < texts.size(); ++id)
    if (!texts[id].empty()) index_[slot(texts[id])] = static_cast<TokenId>(id);
}

std::size_t TokenTexts::slot(std::string_view text) const {
  const std::size_t mask = index_.size() - 1;
  std::size_t i = hash_text(text) & mask;
  while (index_[i] >= 0 && (*this)[index_[i]] != text) i = (i + 1) & mask;
  return i;
}

std::optional<TokenId> TokenTexts::find(std::string_view text) const {
  if (index_.empty()) return std::nullopt;
  const TokenId id = index_[slot(text)];
  if (id < 0) return std::nullopt;
  return id;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  nodes_.push_back({});
  for (std::size_t t = 0; t < tokens_.size(); ++t) {
    const std::string& content = tokens_[t].content;
    if (content.empty()) continue;
    std::int32_t node = 0;
    for (char c : content) {
      const auto byte = static_cast<unsigned char>(c);
      std::int32_t next = child(node, byte);
      if (next < 0) {
        next = static_cast<std::int32_t>(nodes_.size());
        nodes_.push_back({-1, nodes_[static_cast<std::size_t>(node)].child, -1, byte});
        nodes_[static_cast<std::size_t>(node)].child = next;
      }
      node = next;
    }
    nodes_[static_cast<std::size_t>(node)].token = static_cast<std::int32_t>(t);
    starts_[static_cast<unsigned char>(content[0])] = true;
  }
}

std::int32_t AddedTokens::child(std::int32_t node, unsigned char byte) const {
  std::int32_t i = nodes_[static_cast<std::size_t>(node)].child;
  while (i >= 0 && nodes_[static_cast<std::size_t>(i)].byte != byte) i = nodes_[static_cast<std::size_t>(i)].sibling;
  return i;
}

const AddedToken* AddedTokens::longest_at(std::string_view text, std::size_t i) const {
  const AddedToken* best = nullptr;
  std::int32_t node = 0;
  for (; i < text.size(); ++i) {
    node = child(node, static_cast<unsigned char>(text[i]));
    if (node < 0) break;
    const std::int32_t token = nodes_[static_cast<std::size_t>(node)].token;
    if (token >= 0) best = &tokens_[static_cast<std::size_t>(token)];
  }
  return best;
}

const AddedToken* AddedTokens::find(TokenId id) const {
  const auto found =
      std::find_if(tokens_.begin(), tokens_.end(), [&](const AddedToken& token) { return token.id == id; });
  return found == tokens_.end() ? nullptr : &*found;
}

void AddedTokens::split(std::string_view text, SpecialText special, std::vector<Piece>& pieces) const {
  const auto is_space = [](char32_t c) { return char_classes()[c] & kSpace; };
  std::size_t done = 0, i = 0, spaces_end = 0;
  while (i < text.size()) {
    if (!starts_[static_cast<unsigned char>(text[i])]) {
      ++i;
      continue;
    }
    const AddedToken* token = longest_at(text, i);
    if (!token) {
      ++i;
      continue;
    }
    std::size_t begin = i, end = i + token->content.size();
    i = end;
    if (token->special && special == SpecialText::plain) continue;
    if (token->single_word && !stands_alone(text, begin, end)) continue;
    if (token->lstrip) {
      while (begin > done && is_space(decode_utf8(text.data() + previous_character(text, begin)).value))
        begin = previous_character(text, begin);
      begin = std::max(begin, done);
    }
    if (token->rstrip) {
      if (end < spaces_end) end = spaces_end;  // white space consumed by the previous token
      while (end < text.size() && is_space(decode_utf8(text.data() + end).value))
        end += decode_utf8(text.data() + end).bytes;
      spaces_end = end;
    }
    // As in the tokenizers package, tokens inside white space consumed by the previous one are still found, unless
    // nothing is left of them.
    if (begin >= end) continue;
    if (begin > done) pieces.push_back({text.substr(done, begin - done), nullptr});
    pieces.push_back({text.substr(begin, end - begin), token});
    done = end;
  }
  if (done < text.size()) pieces.push_back({text.substr(done), nullptr});
}

Result<std::string_view> encodable(std::string_view text, std::string& repaired) {
  constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;
  if (text.size() > kMaxTextBytes)
    return fail(ErrorCode::bad_argument, "a text of " + std::to_string(text.size()) + " bytes; at most " +
                                             std::to_string(kMaxTextBytes) + " are encoded at once");
  if (is_valid_utf8(text)) return text;
  repaired = replace_invalid_utf8(text);
  return std::string_view(repaired);
}

Result<std::string> joined(const TokenTexts& bytes, const std::vector<bool>& special, std::span<const TokenId> ids,
                           SpecialTokens shown) {
  std::string text;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || static_cast<std::size_t>(ids[i]) >= bytes.size())
      return fail(ErrorCode::bad_argument, "token id " + std::to_string(ids[i]) + " at position " + std::to_string(i) +
                                               " is outside the vocabulary of " + std::to_string(bytes.size()));
    if (shown == SpecialTokens::hide && special[static_cast<std::size_t>(ids[i])]) continue;
    text += bytes[ids[i]];
  }
  return text;
}

}  // namespace moe::inline MOE_ABI::tokenizer

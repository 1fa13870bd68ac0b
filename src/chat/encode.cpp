#include "chat/encode.hpp"

#include <algorithm>
#include <array>

#include "support/show.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

/// The texts of all control tokens, by their first byte, longest first.
class ControlTokens {
 public:
  explicit ControlTokens(const Tokenizer& tokenizer) {
    for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
      if (!tokenizer.is_control(id)) continue;
      const std::string_view text = tokenizer.bytes_of(id);
      if (text.empty()) continue;
      by_first_[static_cast<unsigned char>(text.front())].push_back(text);
      longest_ = std::max(longest_, text.size());
    }
    for (auto& texts : by_first_)
      std::sort(texts.begin(), texts.end(), [](auto a, auto b) { return a.size() > b.size(); });
  }

  /// Bytes of the longest one that begins at `at`; 0 where none does.
  std::size_t length_at(std::string_view text, std::size_t at) const {
    for (const std::string_view token : by_first_[static_cast<unsigned char>(text[at])])
      if (text.substr(at, token.size()) == token) return token.size();
    return 0;
  }
  std::size_t longest() const { return longest_; }

 private:
  std::array<std::vector<std::string_view>, 256> by_first_;
  std::size_t longest_ = 0;
};

/// Places where a control token is spelled with bytes of `content`, ascending, not overlapping.
std::vector<Span> spelled(const ControlTokens& tokens, std::string_view text, std::span<const Span> content) {
  std::vector<Span> out;
  std::size_t done = 0;
  for (const Span& span : content) {
    const std::size_t before = span.begin - std::min<std::size_t>(span.begin, tokens.longest());
    for (std::size_t at = std::max(done, before); at < span.end; ++at) {
      const std::size_t length = tokens.length_at(text, at);
      if (length == 0) continue;
      const std::size_t end = at + length;
      if (end > span.begin) out.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(end)});
      done = end;  // skip control tokens of the template as a whole, too
      at = end - 1;
    }
  }
  return out;
}

bool has_control(const Tokenizer& tokenizer, std::span<const TokenId> ids) {
  return std::any_of(ids.begin(), ids.end(), [&](TokenId id) { return tokenizer.is_control(id); });
}

/// A normaliser may produce a control token from other text ("＜s＞"): such content is treated as one place.
Result<void> add_hidden(const Tokenizer& tokenizer, std::string_view text, std::span<const Span> content,
                        std::vector<Span>& places) {
  const std::size_t spelled_count = places.size();
  std::size_t next = 0;
  for (const Span& span : content) {
    for (std::uint32_t begin = span.begin, end; begin < span.end; begin = end) {
      while (next < spelled_count && places[next].end <= begin) ++next;
      const bool is_before = next < spelled_count && places[next].begin < span.end;
      if (is_before && places[next].begin <= begin) {
        end = std::min(places[next].end, span.end);
        continue;
      }
      end = is_before ? places[next].begin : span.end;
      const std::string_view piece = text.substr(begin, end - begin);
      const auto parsed = tokenizer.encode(piece, {.special = SpecialText::parse});
      if (!parsed) return forward(parsed);
      if (!has_control(tokenizer, *parsed)) continue;
      const auto plain = tokenizer.encode(piece, {.special = SpecialText::plain});
      if (!plain) return forward(plain);
      if (*plain != *parsed) places.push_back({begin, end});
    }
  }
  std::sort(places.begin(), places.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
  return {};
}

class MarkedEncoder {
 public:
  explicit MarkedEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  Result<void> add(std::string_view piece, SpecialText special) {
    if (piece.empty()) return {};
    auto more = ids.empty() ? tokenizer_.encode(piece, {.special = special}) : inside(piece, special);
    if (!more) return forward(more);
    if (special == SpecialText::plain && has_control(tokenizer_, *more)) more = by_characters(piece);
    if (!more) return forward(more);
    ids.insert(ids.end(), more->begin(), more->end());
    return {};
  }
  std::vector<TokenId> ids;

 private:
  /// SentencePiece adds a space before a text, but not after a line feed: so one is added, and removed from the ids.
  Result<std::vector<TokenId>> inside(std::string_view piece, SpecialText special) const {
    const auto line = tokenizer_.encode("\n", {.special = special});
    if (!line) return line;
    auto joined = tokenizer_.encode("\n" + std::string(piece), {.special = special});
    if (!joined) return joined;
    if (joined->size() < line->size() || !std::equal(line->begin(), line->end(), joined->begin()))
      return tokenizer_.encode(piece, {.special = special});
    joined->erase(joined->begin(), joined->begin() + static_cast<std::ptrdiff_t>(line->size()));
    return joined;
  }

  /// Some vocabularies can merge plain text into a control token, but not if it is encoded character by character.
  Result<std::vector<TokenId>> by_characters(std::string_view piece) const {
    std::vector<TokenId> out;
    for (std::size_t at = 0, end; at < piece.size(); at = end) {
      for (end = at + 1; end < piece.size() && is_continuation_byte(piece[end]);) ++end;
      const auto more = inside(piece.substr(at, end - at), SpecialText::plain);
      if (!more) return more;
      out.insert(out.end(), more->begin(), more->end());
    }
    if (!has_control(tokenizer_, out)) return out;
    return fail(ErrorCode::unsupported,
                "the tokenizer has no way to write " + in_quotes(piece) + " but as the control token of that name");
  }

  const Tokenizer& tokenizer_;
};

}  // namespace

Result<std::vector<TokenId>> encode_marked(const Tokenizer& tokenizer, std::string_view text,
                                           std::span<const Span> content) {
  std::vector<Span> places = spelled(ControlTokens(tokenizer), text, content);
  if (auto ok = add_hidden(tokenizer, text, content, places); !ok) return forward(ok);
  MarkedEncoder out(tokenizer);
  std::size_t done = 0;
  for (const Span& place : places) {
    if (auto ok = out.add(text.substr(done, place.begin - done), SpecialText::parse); !ok) return forward(ok);
    if (auto ok = out.add(text.substr(place.begin, place.end - place.begin), SpecialText::plain); !ok)
      return forward(ok);
    done = place.end;
  }
  if (auto ok = out.add(text.substr(done), SpecialText::parse); !ok) return forward(ok);
  return std::move(out.ids);
}

}  // namespace moe::inline MOE_ABI::chat

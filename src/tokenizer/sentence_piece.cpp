#include "tokenizer/sentence_piece.hpp"

#include <algorithm>

#include "tokenizer/fingerprint.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

constexpr std::uint32_t kNoSymbol = ~std::uint32_t{0};
constexpr std::size_t kMaxRunBytes = std::size_t{1} << 26;  // symbols and candidates need about 60 bytes for each

std::vector<std::string> select(const std::vector<std::string>& texts, const std::vector<bool>& wanted) {
  std::vector<std::string> some(texts.size());
  for (std::size_t id = 0; id < texts.size(); ++id)
    if (wanted[id]) some[id] = texts[id];
  return some;
}

// Where the next piece ends: before a U+2581 that follows another character.
std::size_t next_cut(std::string_view text, std::size_t begin) {
  std::size_t i = begin;
  while (text.substr(i, kSpaceSymbol.size()) == kSpaceSymbol) i += kSpaceSymbol.size();
  return std::min(text.find(kSpaceSymbol, i), text.size());
}

}  // namespace

std::string without_space_symbols(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size();) {
    const bool space = text.substr(i, kSpaceSymbol.size()) == kSpaceSymbol;
    plain += space ? ' ' : text[i];
    i += space ? kSpaceSymbol.size() : 1;
  }
  return plain;
}

Result<void> check_byte_tokens(const std::array<TokenId, 256>& byte_ids) {
  const auto missing = std::find(byte_ids.begin(), byte_ids.end(), -1);
  if (missing == byte_ids.end()) return {};
  constexpr char kDigits[] = "0123456789ABCDEF";
  const auto byte = static_cast<std::size_t>(missing - byte_ids.begin());
  return fail(ErrorCode::bad_file, std::string("the vocabulary has no byte token <0x") + kDigits[byte / 16] +
                                       kDigits[byte % 16] + ">; SentencePiece's BPE needs all 256");
}

SentencePiece::SentencePiece(SentencePieceParts parts)
    : VocabularyTokenizer(parts),
      pieces_(select(parts.texts, parts.mergeable)),
      byte_ids_(parts.byte_ids),
      ranks_(std::move(parts.ranks)),
      added_(parts.added),
      space_prefix_(parts.space_prefix) {
  for (std::size_t id = 0; id < pieces_.size(); ++id) {
    const std::string_view piece = pieces_[static_cast<TokenId>(id)];
    longest_ = std::max(longest_, piece.size());
    cut_at_spaces_ = cut_at_spaces_ && next_cut(piece, 0) == piece.size();
  }
  fingerprint_ = compute_fingerprint(parts);
}

std::uint64_t SentencePiece::compute_fingerprint(const SentencePieceParts& parts) const {
  Fingerprint f;
  f.add("sentencepiece");
  f.number(texts_.size());
  for (std::size_t id = 0; id < texts_.size(); ++id) {
    f.add(texts_[static_cast<TokenId>(id)]);
    f.number(ranks_[id]);
    f.number(parts.mergeable[id]);
  }
  for (TokenId id : byte_ids_) f.number(static_cast<std::uint64_t>(id));
  for (const AddedToken& t : parts.added) {
    f.add(t.content);
    f.number(static_cast<std::uint64_t>(t.id));
    f.number(t.special | t.single_word << 1 | t.lstrip << 2 | t.rstrip << 3);
  }
  f.number(space_prefix_);
  add_ends(f);
  return f.value();
}

Result<void> SentencePiece::encode_text(std::string_view text, SpecialText special, std::vector<TokenId>& ids) const {
  std::vector<AddedTokens::Piece> pieces;
  added_.split(text, special, pieces);
  Scratch scratch;
  for (const AddedTokens::Piece& piece : pieces) {
    if (piece.token) {
      ids.push_back(piece.token->id);
      continue;
    }
    auto done = encode_stretch(piece.text, scratch, ids);
    if (!done) return done;
  }
  return {};
}

// Text between added tokens: spaces become U+2581, then it is cut where no merge can cross.
Result<void> SentencePiece::encode_stretch(std::string_view text, Scratch& scratch, std::vector<TokenId>& ids) const {
  std::string escaped;
  escaped.reserve(text.size() + text.size() / 2 + kSpaceSymbol.size());
  if (space_prefix_) escaped += kSpaceSymbol;
  for (char c : text) {
    if (c == ' ')
      escaped += kSpaceSymbol;
    else
      escaped += c;
  }
  const std::string_view all = escaped;
  for (std::size_t begin = 0, end; begin < all.size(); begin = end) {
    end = cut_at_spaces_ ? next_cut(all, begin) : all.size();
    if (end - begin > kMaxRunBytes)
      return fail(ErrorCode::bad_argument, "a piece of " + std::to_string(end - begin) +
                                               " bytes without a place to split; at most " +
                                               std::to_string(kMaxRunBytes) + " are merged at once");
    encode_piece(all.substr(begin, end - begin), scratch, ids);
  }
  return {};
}

// The merge of the symbol `at` with the next one.
bool SentencePiece::find_merge(std::string_view text, const std::vector<Symbol>& symbols, std::uint32_t at,
                               Candidate& out) const {
  if (at == kNoSymbol || symbols[at].next == kNoSymbol) return false;
  const Symbol& left = symbols[at];
  const Symbol& right = symbols[left.next];
  const std::size_t bytes = std::size_t{left.bytes} + right.bytes;
  if (bytes > longest_) return false;
  const auto id = pieces_.find(text.substr(left.begin, bytes));
  if (id) out = {ranks_[static_cast<std::size_t>(*id)], at, left.bytes, right.bytes, *id};
  return id.has_value();
}

// The heap has every candidate pair; an entry is stale when the lengths have changed. Symbols keep their beginning, so
// equal lengths mean equal texts.
void SentencePiece::encode_piece(std::string_view text, Scratch& scratch, std::vector<TokenId>& ids) const {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  symbols.clear();
  heap.clear();
  for (std::size_t i = 0; i < text.size();) {
    const std::uint32_t bytes = decode_utf8(text.data() + i).bytes;
    const auto n = static_cast<std::uint32_t>(symbols.size());
    symbols.push_back({static_cast<std::uint32_t>(i), bytes, pieces_.find(text.substr(i, bytes)).value_or(-1),
                       n == 0 ? kNoSymbol : n - 1, n + 1});
    i += bytes;
  }
  symbols.back().next = kNoSymbol;

  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  Candidate c;
  for (std::uint32_t i = 0; i < symbols.size(); ++i)
    if (find_merge(text, symbols, i, c)) heap.push_back(c);
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = symbols[best.at];
    if (left.bytes != best.left_bytes || left.next == kNoSymbol || symbols[left.next].bytes != best.right_bytes)
      continue;
    Symbol& right = symbols[left.next];
    left.bytes += right.bytes;
    left.id = best.merged;
    left.next = right.next;
    if (left.next != kNoSymbol) symbols[left.next].previous = best.at;
    right.bytes = 0;
    for (std::uint32_t at : {left.previous, best.at}) {
      if (!find_merge(text, symbols, at, c)) continue;
      heap.push_back(c);
      std::push_heap(heap.begin(), heap.end(), later);
    }
  }
  for (std::uint32_t i = 0; i != kNoSymbol; i = symbols[i].next) {
    if (symbols[i].id >= 0) {
      ids.push_back(symbols[i].id);
      continue;
    }
    for (char byte : text.substr(symbols[i].begin, symbols[i].bytes))
      ids.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
  }
}

Result<std::string> SentencePiece::decode_text(std::span<const TokenId> ids, SpecialTokens special) const {
  auto text = decode_continuation(ids, special);
  if (text && space_prefix_ && text->starts_with(' ')) text->erase(0, 1);
  return text;
}

}  // namespace moe::inline MOE_ABI::tokenizer

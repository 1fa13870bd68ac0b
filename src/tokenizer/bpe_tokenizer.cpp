#include "tokenizer/bpe_tokenizer.hpp"

#include <algorithm>
#include <cstring>

#include "support/show.hpp"
#include "tokenizer/fingerprint.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

constexpr std::size_t kMaxPieceBytes = std::size_t{1} << 26;  // the merge loop needs about 30 bytes for each
constexpr std::size_t kMaxIdle = 64;

std::vector<AddedToken> select(const std::vector<AddedToken>& all, bool normalized) {
  std::vector<AddedToken> some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some),
               [&](const AddedToken& token) { return token.normalized == normalized; });
  return some;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The character that ends at `end`.
char32_t before(std::string_view text, std::size_t end) {
  return decode_utf8(text.data() + previous_character(text, end)).value;
}

}  // namespace

int byte_token(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  const int high = hex_digit(text[3]), low = hex_digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

Result<void> add_merges(Parts& parts, const TokenTexts& texts, const std::vector<MergeText>& merges, bool replace) {
  parts.merges = MergeTable(merges.size());
  Fingerprint hash;
  std::string joined;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = merges[i];
    joined.assign(left).append(right);
    const auto l = texts.find(left), r = texts.find(right), both = texts.find(joined);
    if (!l || !r || !both) {
      const std::string_view missing = !l ? left : !r ? right : std::string_view(joined);
      return fail(ErrorCode::bad_file, "merge " + std::to_string(i) + " (" + in_quotes(left) + ", " + in_quotes(right) +
                                           ") needs the token " + in_quotes(missing) +
                                           ", which the vocabulary has not");
    }
    parts.merges.insert(*l, *r, static_cast<std::uint32_t>(i), *both, replace);
    hash.number(static_cast<std::uint64_t>(*l) << 32 | static_cast<std::uint64_t>(*r));
  }
  parts.merges_hash = hash.value();
  return {};
}

// Lends a workspace for the time of a call.
class BpeTokenizer::Borrowed {
 public:
  explicit Borrowed(const BpeTokenizer& owner) : owner_(owner) {
    {
      const std::lock_guard lock(owner.mutex_);
      if (!owner.idle_.empty()) {
        work_ = std::move(owner.idle_.back());
        owner.idle_.pop_back();
      }
    }
    if (work_) return;
    work_ = std::make_unique<Workspace>();
    work_->normalizer_states = owner.normalizer_.make_states();
    work_->states = owner.pre_.make_states();
  }
  ~Borrowed() {
    work_->pieces.clear();
    work_->inner.clear();
    if (work_->scratch.nodes.capacity() > 1 << 20) work_->scratch = {};  // one huge piece should not hold memory
    const std::lock_guard lock(owner_.mutex_);
    if (owner_.idle_.size() < kMaxIdle) owner_.idle_.push_back(std::move(work_));
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  Workspace& operator*() { return *work_; }

 private:
  const BpeTokenizer& owner_;
  std::unique_ptr<Workspace> work_;
};

BpeTokenizer::BpeTokenizer(Parts parts)
    : VocabularyTokenizer(parts),
      in_model_(std::move(parts.in_model)),
      byte_ids_(parts.byte_ids),
      merges_(std::move(parts.merges)),
      added_(select(parts.added, false)),
      added_normalized_(select(parts.added, true)),
      normalizer_(std::move(parts.normalizer)),
      pre_(std::move(parts.splits)),
      ignore_merges_(parts.ignore_merges),
      byte_level_(parts.byte_level),
      byte_fallback_(parts.byte_fallback),
      fuse_unk_(parts.fuse_unk),
      unk_(parts.unk),
      strip_(parts.strip),
      first_token_drops_(parts.first_token_drops) {
  for (unsigned b = 0; b < 256 && byte_level_; ++b) {
    std::string symbol;
    append_utf8(symbol, byte_symbol(static_cast<unsigned char>(b)));
    byte_ids_[b] = find_in_model(symbol).value_or(-1);
  }
  for (unsigned c = 0; c < 128; ++c) ascii_ids_[c] = find_in_model(std::string(1, static_cast<char>(c))).value_or(-1);
  if (!byte_level_ && !ignore_merges_) find_cuts();
  fingerprint_ = compute_fingerprint(parts);
}

std::optional<TokenId> BpeTokenizer::find_in_model(std::string_view text) const {
  const auto id = texts_.find(text);
  return id && in_model_[static_cast<std::size_t>(*id)] ? id : std::nullopt;
}

// With merges of byte or unknown tokens, or dropped characters, tokens could merge across a cut: then nothing is cut.
void BpeTokenizer::find_cuts() {
  std::vector<bool> stands_for_others(texts_.size(), false);
  if (unk_) stands_for_others[static_cast<std::size_t>(*unk_)] = true;
  for (const TokenId id : byte_ids_)
    if (byte_fallback_ && id >= 0) stands_for_others[static_cast<std::size_t>(id)] = true;
  const bool drops = !unk_ && (!byte_fallback_ || std::find(byte_ids_.begin(), byte_ids_.end(), -1) != byte_ids_.end());
  cuts_ = !drops && find_in_model(kSpaceSymbol).has_value();
  merges_.for_each([&](TokenId left, TokenId right, TokenId merged) {
    if (stands_for_others[static_cast<std::size_t>(left)] || stands_for_others[static_cast<std::size_t>(right)])
      cuts_ = false;
    const std::string_view text = texts_[merged];
    if (!is_valid_utf8(text)) return;
    for (std::size_t at = 0; (at = text.find(kSpaceSymbol, at)) != std::string_view::npos; at += kSpaceSymbol.size())
      if (at > 0) joined_to_space_.push_back(before(text, at));
  });
  std::sort(joined_to_space_.begin(), joined_to_space_.end());
  joined_to_space_.erase(std::unique(joined_to_space_.begin(), joined_to_space_.end()), joined_to_space_.end());
}

std::uint64_t BpeTokenizer::compute_fingerprint(const Parts& parts) const {
  Fingerprint f;
  f.number(texts_.size());
  for (std::size_t id = 0; id < texts_.size(); ++id) f.add(texts_[static_cast<TokenId>(id)]);
  f.number(parts.merges_hash);
  for (const AddedToken& t : parts.added) {
    f.add(t.content);
    f.number(static_cast<std::uint64_t>(t.id));
    f.number(t.special | t.single_word << 1 | t.lstrip << 2 | t.rstrip << 3 | t.normalized << 4);
  }
  f.add(normalizer_.description());
  f.add(pre_.description());
  f.number(ignore_merges_ | fuse_unk_ << 1 | byte_level_ << 2 | byte_fallback_ << 3);
  f.number(unk_ ? static_cast<std::uint64_t>(*unk_) : ~std::uint64_t{0});
  f.number(strip_);
  f.add(first_token_drops_);
  add_ends(f);
  return f.value();
}

Result<void> BpeTokenizer::encode_text(std::string_view text, SpecialText special, std::vector<TokenId>& ids) const {
  Borrowed borrowed(*this);
  Workspace& work = *borrowed;
  added_.split(text, special, work.pieces);
  for (const AddedTokens::Piece& piece : work.pieces) {
    if (piece.token) {
      ids.push_back(piece.token->id);
      continue;
    }
    auto done = encode_stretch(piece.text, piece.text.data() == text.data(), special, work, ids);
    if (!done) return done;
  }
  return {};
}

// Text between added tokens: normalised, then searched for those that are matched in normalised text.
Result<void> BpeTokenizer::encode_stretch(std::string_view text, bool begins, SpecialText special, Workspace& work,
                                          std::vector<TokenId>& ids) const {
  std::string normalized;
  if (!normalizer_.empty()) {
    auto done = normalizer_.run(text, work.normalizer_states);
    if (!done) return forward(done);
    normalized = std::move(*done);
    text = normalized;
  }
  if (added_normalized_.empty()) return encode_plain(text, begins, work, ids);
  work.inner.clear();
  added_normalized_.split(text, special, work.inner);
  for (const AddedTokens::Piece& piece : work.inner) {
    if (piece.token) {
      ids.push_back(piece.token->id);
      continue;
    }
    auto done = encode_plain(piece.text, begins && piece.text.data() == text.data(), work, ids);
    if (!done) return done;
  }
  return {};
}

Result<void> BpeTokenizer::encode_plain(std::string_view text, bool begins, Workspace& work,
                                        std::vector<TokenId>& ids) const {
  return pre_.run(text, begins, work.states, [&](std::string_view piece) -> Result<void> {
    for (std::size_t begin = 0, end; begin < piece.size(); begin = end) {
      end = cuts_ ? next_cut(piece, begin) : piece.size();
      if (auto done = encode_piece(piece.substr(begin, end - begin), work, ids); !done) return done;
    }
    return {};
  });
}

// Where the next part ends: before a U+2581 that no merge joins to the preceding character.
std::size_t BpeTokenizer::next_cut(std::string_view piece, std::size_t begin) const {
  for (std::size_t at = begin + 1; (at = piece.find(kSpaceSymbol, at)) != std::string_view::npos; ++at) {
    const char32_t c = before(piece, at);
    if (c != 0x2581 && !std::binary_search(joined_to_space_.begin(), joined_to_space_.end(), c)) return at;
  }
  return piece.size();
}

Result<void> BpeTokenizer::encode_piece(std::string_view piece, Workspace& work, std::vector<TokenId>& ids) const {
  WordCache::Slot* slot = nullptr;
  if (piece.size() <= WordCache::kMaxBytes) {
    slot = &work.cache.slot(piece);
    if (slot->length == piece.size() && std::memcmp(slot->word, piece.data(), piece.size()) == 0) {
      ids.insert(ids.end(), slot->ids, slot->ids + slot->count);
      return {};
    }
  } else if (piece.size() > kMaxPieceBytes) {
    return fail(ErrorCode::bad_argument, "a piece of " + std::to_string(piece.size()) +
                                             " bytes without a place to split; at most " +
                                             std::to_string(kMaxPieceBytes) + " are merged at once");
  }
  auto& symbols = work.scratch.symbols;
  symbols.clear();
  std::optional<TokenId> whole;
  if (ignore_merges_) whole = find_in_model(byte_level_ ? to_token_text(piece) : std::string(piece));
  if (whole) {
    symbols.push_back(*whole);
  } else {
    byte_level_ ? append_bytes(piece, work.scratch) : append_symbols(piece, work.scratch);
    merge_symbols(merges_, work.scratch);
  }
  if (slot && symbols.size() <= WordCache::kMaxIds) {
    slot->length = static_cast<std::uint8_t>(piece.size());
    slot->count = static_cast<std::uint8_t>(symbols.size());
    std::memcpy(slot->word, piece.data(), piece.size());
    std::copy(symbols.begin(), symbols.end(), slot->ids);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
  return {};
}

void BpeTokenizer::append_bytes(std::string_view piece, MergeScratch& scratch) const {
  bool after_unknown = false;
  for (char c : piece) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0) {
      scratch.symbols.push_back(id);
    } else if (unk_ && !(fuse_unk_ && after_unknown)) {
      scratch.symbols.push_back(*unk_);
    }
    after_unknown = id < 0;
  }
}

// False: not every byte of the character has a token.
bool BpeTokenizer::append_fallback(std::string_view character, MergeScratch& scratch) const {
  if (!byte_fallback_) return false;
  const auto id_of = [&](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
  if (std::any_of(character.begin(), character.end(), [&](char byte) { return id_of(byte) < 0; })) return false;
  for (char byte : character) scratch.symbols.push_back(id_of(byte));
  return true;
}

// An unknown character waits for the next one that has a token, as in the tokenizers package: bytes of characters
// between them come first.
void BpeTokenizer::append_symbols(std::string_view piece, MergeScratch& scratch) const {
  bool waiting = false;
  const auto flush = [&] {
    if (waiting) scratch.symbols.push_back(*unk_);
    waiting = false;
  };
  for (std::size_t i = 0; i < piece.size();) {
    const Decoded c = decode_utf8(piece.data() + i);
    const std::string_view character = piece.substr(i, c.bytes);
    i += c.bytes;
    const TokenId id = c.value < 128 ? ascii_ids_[c.value] : find_in_model(character).value_or(-1);
    if (id >= 0) {
      flush();
      scratch.symbols.push_back(id);
    } else if (!append_fallback(character, scratch) && unk_) {
      if (!fuse_unk_) flush();
      waiting = true;
    }
  }
  flush();
}

Result<std::string> BpeTokenizer::decode_text(std::span<const TokenId> ids, SpecialTokens special) const {
  auto text = decode_continuation(ids, special);
  if (!text) return text;
  if (!first_token_drops_.empty()) {
    const auto first = std::find_if(ids.begin(), ids.end(),
                                    [&](TokenId id) { return special == SpecialTokens::show || !is_control(id); });
    if (first == ids.end() || (byte_fallback_ && byte_token(texts_[*first]) >= 0)) return text;
    const AddedToken* added = added_normalized_.find(*first);
    std::string kept(added ? added->content : texts_[*first]);
    for (std::size_t at; (at = kept.find(first_token_drops_)) != std::string::npos;)
      kept.erase(at, first_token_drops_.size());
    text->replace(0, bytes_[*first].size(), kept);
  }
  text->erase(0, std::min(strip_, text->find_first_not_of(' ')));
  return text;
}

}  // namespace moe::inline MOE_ABI::tokenizer

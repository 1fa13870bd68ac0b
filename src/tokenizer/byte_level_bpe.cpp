#include "tokenizer/byte_level_bpe.hpp"

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

}  // namespace

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

// Hands out a workspace and takes it back.
class ByteLevelBpe::Borrowed {
 public:
  explicit Borrowed(const ByteLevelBpe& owner) : owner_(owner) {
    {
      const std::lock_guard lock(owner.mutex_);
      if (!owner.idle_.empty()) {
        work_ = std::move(owner.idle_.back());
        owner.idle_.pop_back();
      }
    }
    if (work_) return;
    work_ = std::make_unique<Workspace>();
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
  const ByteLevelBpe& owner_;
  std::unique_ptr<Workspace> work_;
};

ByteLevelBpe::ByteLevelBpe(Parts parts)
    : VocabularyTokenizer(parts),
      merges_(std::move(parts.merges)),
      added_(select(parts.added, false)),
      added_normalized_(select(parts.added, true)),
      normalizers_(parts.normalizers),
      pre_(std::move(parts.splits)),
      ignore_merges_(parts.ignore_merges),
      fuse_unk_(parts.fuse_unk),
      unk_(parts.unk) {
  for (unsigned b = 0; b < 256; ++b) {
    std::string symbol;
    append_utf8(symbol, byte_symbol(static_cast<unsigned char>(b)));
    byte_ids_[b] = texts_.find(symbol).value_or(-1);
  }
  fingerprint_ = compute_fingerprint(parts);
}

std::uint64_t ByteLevelBpe::compute_fingerprint(const Parts& parts) const {
  Fingerprint f;
  f.number(texts_.size());
  for (std::size_t id = 0; id < texts_.size(); ++id) f.add(texts_[static_cast<TokenId>(id)]);
  f.number(parts.merges_hash);
  for (const AddedToken& t : parts.added) {
    f.add(t.content);
    f.number(static_cast<std::uint64_t>(t.id));
    f.number(t.special | t.single_word << 1 | t.lstrip << 2 | t.rstrip << 3 | t.normalized << 4);
  }
  for (Normalization n : normalizers_) f.number(static_cast<std::uint64_t>(n));
  f.add(pre_.description());
  f.number(ignore_merges_ | fuse_unk_ << 1);
  f.number(unk_ ? static_cast<std::uint64_t>(*unk_) : ~std::uint64_t{0});
  add_ends(f);
  return f.value();
}

Result<void> ByteLevelBpe::encode_text(std::string_view text, SpecialText special, std::vector<TokenId>& ids) const {
  Borrowed borrowed(*this);
  Workspace& work = *borrowed;
  added_.split(text, special, work.pieces);
  for (const AddedTokens::Piece& piece : work.pieces) {
    if (piece.token) {
      ids.push_back(piece.token->id);
      continue;
    }
    auto done = encode_stretch(piece.text, special, work, ids);
    if (!done) return done;
  }
  return {};
}

// Text between added tokens: normalised, then searched for those that are matched in normalised text.
Result<void> ByteLevelBpe::encode_stretch(std::string_view text, SpecialText special, Workspace& work,
                                          std::vector<TokenId>& ids) const {
  std::string normalized;
  for (Normalization form : normalizers_) {
    auto next = normalize(text, form);
    if (!next) return forward(next);
    normalized = std::move(*next);
    text = normalized;
  }
  if (added_normalized_.empty()) return encode_plain(text, work, ids);
  work.inner.clear();
  added_normalized_.split(text, special, work.inner);
  for (const AddedTokens::Piece& piece : work.inner) {
    if (piece.token) {
      ids.push_back(piece.token->id);
      continue;
    }
    auto done = encode_plain(piece.text, work, ids);
    if (!done) return done;
  }
  return {};
}

Result<void> ByteLevelBpe::encode_plain(std::string_view text, Workspace& work, std::vector<TokenId>& ids) const {
  return pre_.run(text, work.states, [&](std::string_view piece) { return encode_piece(piece, work, ids); });
}

Result<void> ByteLevelBpe::encode_piece(std::string_view piece, Workspace& work, std::vector<TokenId>& ids) const {
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
  if (ignore_merges_) whole = texts_.find(to_token_text(piece));
  if (whole) {
    symbols.push_back(*whole);
  } else {
    append_symbols(piece, work.scratch);
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

void ByteLevelBpe::append_symbols(std::string_view piece, MergeScratch& scratch) const {
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

}  // namespace moe::inline MOE_ABI::tokenizer

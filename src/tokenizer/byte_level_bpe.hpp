#pragma once
// Byte-level BPE. The readers fill the parts, this turns text into ids and back.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "moe/tokenizer.hpp"
#include "tokenizer/bpe.hpp"
#include "tokenizer/pre_tokenizer.hpp"
#include "tokenizer/unicode.hpp"
#include "tokenizer/vocabulary.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// What a reader finds out about a tokenizer.
struct Parts {
  std::vector<std::string> texts;  ///< by id, as the file writes them ("Ġhello"); holes are empty
  std::vector<std::string> bytes;  ///< by id, what decoding gives
  std::vector<bool> special;       ///< by id, left out by decode(skip_special)
  MergeTable merges;
  std::uint64_t merges_hash = 0;
  std::vector<AddedToken> added;
  std::vector<Normalization> normalizers;
  std::vector<Split> splits;
  bool ignore_merges = false;
  std::optional<TokenId> unk;  ///< stands for bytes that have no token; without it they are dropped
  bool fuse_unk = false;
  std::optional<TokenId> bos, eos;
  std::vector<TokenId> prefix, suffix;  ///< around every text with add_special
};

/// Fills `parts.merges` from pairs of texts. `replace`: a pair that occurs twice keeps the later rank (tokenizers),
/// else the earlier one (llama.cpp). Errors: bad_file, naming the merge whose parts or result are no tokens.
struct MergeText {
  std::string_view left, right;
};
Result<void> add_merges(Parts& parts, const TokenTexts& texts, const std::vector<MergeText>& merges, bool replace);

class ByteLevelBpe final : public Tokenizer {
 public:
  explicit ByteLevelBpe(Parts parts);

  Result<std::vector<TokenId>> encode(std::string_view text, bool add_special, SpecialText special) const override;
  Result<std::string> decode(const std::vector<TokenId>& ids, bool skip_special) const override;
  std::int64_t vocab_size() const override { return static_cast<std::int64_t>(texts_.size()); }
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }
  bool adds_bos() const override { return bos_ && !prefix_.empty() && prefix_.front() == *bos_; }
  std::optional<TokenId> find(std::string_view token_text) const override { return texts_.find(token_text); }
  std::uint64_t fingerprint() const override { return fingerprint_; }

 private:
  /// Everything that changes while encoding. One encode call borrows one; the word cache stays warm between calls.
  struct Workspace {
    PreTokenizer::States states;
    WordCache cache;
    MergeScratch scratch;
    std::vector<AddedTokens::Piece> pieces, inner;
  };
  class Borrowed;

  Result<void> encode_stretch(std::string_view text, SpecialText special, Workspace& work,
                              std::vector<TokenId>& ids) const;
  Result<void> encode_plain(std::string_view text, Workspace& work, std::vector<TokenId>& ids) const;
  Result<void> encode_piece(std::string_view piece, Workspace& work, std::vector<TokenId>& ids) const;
  void append_symbols(std::string_view piece, MergeScratch& scratch) const;
  std::uint64_t compute_fingerprint(const Parts& parts) const;

  TokenTexts texts_;
  TokenTexts bytes_;
  std::vector<bool> special_;
  std::array<TokenId, 256> byte_ids_{};  // -1: no token
  MergeTable merges_;
  AddedTokens added_, added_normalized_;
  std::vector<Normalization> normalizers_;
  PreTokenizer pre_;
  bool ignore_merges_ = false, fuse_unk_ = false;
  std::optional<TokenId> unk_, bos_, eos_;
  std::vector<TokenId> prefix_, suffix_;
  std::uint64_t fingerprint_ = 0;

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;  // guarded by mutex_
};

}  // namespace moe::inline MOE_ABI::tokenizer

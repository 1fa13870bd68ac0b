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
#include "tokenizer/vocabulary_tokenizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// What a reader finds out about a tokenizer.
struct Parts : TokenParts {
  MergeTable merges;
  std::uint64_t merges_hash = 0;
  std::vector<Normalization> normalizers;
  std::vector<Split> splits;
  bool ignore_merges = false;
  std::optional<TokenId> unk;  ///< stands for bytes that have no token; without it they are dropped
  bool fuse_unk = false;
};

/// Fills `parts.merges` from pairs of texts. `replace`: a pair that occurs twice keeps the later rank (tokenizers),
/// else the earlier one (llama.cpp). Errors: bad_file, naming the merge whose parts or result are no tokens.
struct MergeText {
  std::string_view left, right;
};
Result<void> add_merges(Parts& parts, const TokenTexts& texts, const std::vector<MergeText>& merges, bool replace);

class ByteLevelBpe final : public VocabularyTokenizer {
 public:
  explicit ByteLevelBpe(Parts parts);

 private:
  /// Everything that changes while encoding. One encode call borrows one; the word cache stays warm between calls.
  struct Workspace {
    PreTokenizer::States states;
    WordCache cache;
    MergeScratch scratch;
    std::vector<AddedTokens::Piece> pieces, inner;
  };
  class Borrowed;

  Result<void> encode_text(std::string_view text, SpecialText special, std::vector<TokenId>& ids) const override;
  Result<void> encode_stretch(std::string_view text, SpecialText special, Workspace& work,
                              std::vector<TokenId>& ids) const;
  Result<void> encode_plain(std::string_view text, Workspace& work, std::vector<TokenId>& ids) const;
  Result<void> encode_piece(std::string_view piece, Workspace& work, std::vector<TokenId>& ids) const;
  void append_symbols(std::string_view piece, MergeScratch& scratch) const;
  std::uint64_t compute_fingerprint(const Parts& parts) const;

  std::array<TokenId, 256> byte_ids_{};  // -1: no token
  MergeTable merges_;
  AddedTokens added_, added_normalized_;
  std::vector<Normalization> normalizers_;
  PreTokenizer pre_;
  bool ignore_merges_ = false, fuse_unk_ = false;
  std::optional<TokenId> unk_;

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;  // guarded by mutex_
};

}  // namespace moe::inline MOE_ABI::tokenizer

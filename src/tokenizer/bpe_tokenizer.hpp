#pragma once
// Byte-pair merges over the bytes of a text (in GPT-2's alphabet), or over its characters with byte tokens for those
// that have none. The readers fill the parts, this turns text into ids and back.

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "moe/tokenizer.hpp"
#include "tokenizer/bpe.hpp"
#include "tokenizer/normalizer.hpp"
#include "tokenizer/pre_tokenizer.hpp"
#include "tokenizer/unicode.hpp"
#include "tokenizer/vocabulary_tokenizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// The parts of a tokenizer, filled by a reader.
struct Parts : TokenParts {
  MergeTable merges;
  std::uint64_t merges_hash = 0;
  std::vector<bool> in_model;  ///< by id: more than an added token, so merges and single symbols may produce it
  Normalizer normalizer;
  std::vector<Split> splits;
  bool ignore_merges = false;
  bool byte_level = true;               ///< symbols are bytes, else characters
  bool byte_fallback = false;           ///< a character without a token becomes the tokens of its bytes, if all exist
  std::array<TokenId, 256> byte_ids{};  ///< of byte_fallback; -1: no token
  std::optional<TokenId> unk;           ///< for symbols without a token; without it they are dropped
  bool fuse_unk = false;
  /// Leading spaces of a text that decode() removes.
  std::size_t strip = 0;
  /// decode() removes this character from the first token (Metaspace).
  std::string first_token_drops = {};
};

/// Fills `parts.merges` from pairs of texts. `replace`: a pair that occurs twice keeps the later rank (tokenizers),
/// else the earlier one (llama.cpp). Errors: bad_file, naming the merge whose parts or result are no tokens.
struct MergeText {
  std::string_view left, right;
};
Result<void> add_merges(Parts& parts, const TokenTexts& texts, const std::vector<MergeText>& merges, bool replace);

/// The byte of "<0x0A>"; -1 for everything else.
int byte_token(std::string_view text);

class BpeTokenizer final : public VocabularyTokenizer {
 public:
  explicit BpeTokenizer(Parts parts);

  Result<std::string> decode_text(std::span<const TokenId> ids, SpecialTokens special) const override;

 private:
  /// Mutable state of encoding. Each encode call borrows one, which keeps the word cache between calls.
  struct Workspace {
    FinderStates normalizer_states, states;
    WordCache cache;
    MergeScratch scratch;
    std::vector<AddedTokens::Piece> pieces, inner;
  };
  class Borrowed;

  Result<void> encode_text(std::string_view text, SpecialText special, std::vector<TokenId>& ids) const override;
  Result<void> encode_stretch(std::string_view text, bool begins, SpecialText special, Workspace& work,
                              std::vector<TokenId>& ids) const;
  Result<void> encode_plain(std::string_view text, bool begins, Workspace& work, std::vector<TokenId>& ids) const;
  Result<void> encode_piece(std::string_view piece, Workspace& work, std::vector<TokenId>& ids) const;
  std::size_t next_cut(std::string_view piece, std::size_t begin) const;
  std::optional<TokenId> find_in_model(std::string_view text) const;
  void append_symbols(std::string_view piece, MergeScratch& scratch) const;
  void append_bytes(std::string_view piece, MergeScratch& scratch) const;
  bool append_fallback(std::string_view character, MergeScratch& scratch) const;
  void find_cuts();
  std::uint64_t compute_fingerprint(const Parts& parts) const;

  std::vector<bool> in_model_;
  std::array<TokenId, 256> byte_ids_{};   // -1: no token
  std::array<TokenId, 128> ascii_ids_{};  // of characters; -1: no token
  MergeTable merges_;
  AddedTokens added_, added_normalized_;
  Normalizer normalizer_;
  PreTokenizer pre_;
  bool ignore_merges_ = false, byte_level_ = true, byte_fallback_ = false, fuse_unk_ = false;
  std::optional<TokenId> unk_;
  std::size_t strip_ = 0;
  std::string first_token_drops_;
  // No merge joins U+2581 to a character outside this list, so text is cut there.
  bool cuts_ = false;
  std::vector<char32_t> joined_to_space_;  // sorted

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;  // guarded by mutex_
};

}  // namespace moe::inline MOE_ABI::tokenizer

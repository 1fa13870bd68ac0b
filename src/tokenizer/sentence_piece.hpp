#pragma once
// SentencePiece's BPE: characters of UTF-8 are merged wherever the joined text is a token, the best score first. A
// space is U+2581; characters without a token become byte tokens.

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "moe/tokenizer.hpp"
#include "tokenizer/unicode.hpp"
#include "tokenizer/vocabulary_tokenizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// The parts of such a tokenizer, filled by a reader.
struct SentencePieceParts : TokenParts {
  std::vector<bool> mergeable;          ///< by id, may come out of a merge: neither a byte nor a control token
  std::array<TokenId, 256> byte_ids{};  ///< every byte has its token
  std::vector<std::uint32_t> ranks;     ///< by id of the joined token: the lower rank merges first
  /// Adds a space before the text and after every added token; decode() removes the first one.
  bool space_prefix = true;
};

/// A token's text as decoding gives it: spaces for U+2581.
std::string without_space_symbols(std::string_view text);
/// Errors: bad_file naming the first byte that has no token (-1).
Result<void> check_byte_tokens(const std::array<TokenId, 256>& byte_ids);

class SentencePiece final : public VocabularyTokenizer {
 public:
  explicit SentencePiece(SentencePieceParts parts);

  Result<std::string> decode_text(std::span<const TokenId> ids, SpecialTokens special) const override;

 private:
  /// A part of the text that is, or may become, one token; `id` is -1 for a character that has none.
  struct Symbol {
    std::uint32_t begin, bytes;
    TokenId id;
    std::uint32_t previous, next;  // kNone at the ends; bytes == 0: merged away
  };
  struct Candidate {
    std::uint32_t rank, at, left_bytes, right_bytes;
    TokenId merged;
  };
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };

  Result<void> encode_text(std::string_view text, SpecialText special, std::vector<TokenId>& ids) const override;
  Result<void> encode_stretch(std::string_view text, Scratch& scratch, std::vector<TokenId>& ids) const;
  void encode_piece(std::string_view text, Scratch& scratch, std::vector<TokenId>& ids) const;
  bool find_merge(std::string_view text, const std::vector<Symbol>& symbols, std::uint32_t at, Candidate& out) const;
  std::uint64_t compute_fingerprint(const SentencePieceParts& parts) const;

  TokenTexts pieces_;  // only mergeable ones: merges never produce control or byte tokens
  std::array<TokenId, 256> byte_ids_{};
  std::vector<std::uint32_t> ranks_;
  AddedTokens added_;
  bool space_prefix_;
  std::size_t longest_ = 0;    // bytes of the longest piece
  bool cut_at_spaces_ = true;  // no piece has U+2581 after another character
};

}  // namespace moe::inline MOE_ABI::tokenizer

#pragma once
// Base of all tokenizers: a list of tokens, tokens around a text, and end tokens.

#include <optional>
#include <string>
#include <vector>

#include "moe/tokenizer.hpp"
#include "tokenizer/fingerprint.hpp"
#include "tokenizer/token_texts.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// The list of tokens, filled by a reader.
struct TokenParts {
  std::vector<std::string> texts;  ///< by id, as the file writes them ("Ġhello"); holes are empty
  std::vector<std::string> bytes;  ///< by id, what decoding gives
  std::vector<bool> special;       ///< by id, left out by SpecialTokens::hide
  std::vector<AddedToken> added;
  std::optional<TokenId> bos, eos;
  std::vector<TokenId> prefix, suffix;  ///< around every text with TextEnds::as_model
  std::vector<TokenId> stop_ids, generate_stop_ids;
  std::int64_t row_count = 0;  ///< of the model; 0: not known
};

/// Fills the end-of-reply ids from `parts.eos` and the model's files. An id may be in the padding, but not beyond the
/// model's rows. Also checks that the model has a row for each token around a text.
/// Errors: bad_file, naming file and key.
Result<void> finish_parts(TokenParts& parts, const TokenizerOptions& options);

class VocabularyTokenizer : public Tokenizer {
 public:
  Result<std::vector<TokenId>> encode(std::string_view text, const EncodeOptions& options) const final;
  Result<std::string> decode_text(std::span<const TokenId> ids, SpecialTokens special) const override;
  Result<std::string> decode_continuation(std::span<const TokenId> ids, SpecialTokens special) const final;
  std::int64_t vocab_size() const final { return static_cast<std::int64_t>(texts_.size()); }
  std::optional<TokenId> bos() const final { return bos_; }
  std::optional<TokenId> eos() const final { return eos_; }
  const std::vector<TokenId>& stop_ids() const final { return stop_ids_; }
  const std::vector<TokenId>& generate_stop_ids() const final { return generate_stop_ids_; }
  std::string_view bytes_of(TokenId id) const final;
  bool is_control(TokenId id) const final { return has(id) && special_[static_cast<std::size_t>(id)]; }
  bool adds_bos() const final { return bos_ && !prefix_.empty() && prefix_.front() == *bos_; }
  std::optional<TokenId> find(std::string_view token_text) const final { return texts_.find(token_text); }
  std::uint64_t fingerprint() const final { return fingerprint_; }

 protected:
  explicit VocabularyTokenizer(const TokenParts& parts);
  /// Appends the ids of a text that is valid UTF-8.
  virtual Result<void> encode_text(std::string_view text, SpecialText special, std::vector<TokenId>& ids) const = 0;
  /// Tokens around a text, and end tokens.
  void add_ends(Fingerprint& f) const;

  TokenTexts texts_;
  TokenTexts bytes_;
  std::uint64_t fingerprint_ = 0;

 private:
  bool has(TokenId id) const { return id >= 0 && static_cast<std::size_t>(id) < texts_.size(); }
  Result<void> check_rows(const std::vector<TokenId>& ids) const;

  std::vector<bool> special_;
  std::optional<TokenId> bos_, eos_;
  std::vector<TokenId> prefix_, suffix_, stop_ids_, generate_stop_ids_;
  std::int64_t row_count_ = 0;
};

}  // namespace moe::inline MOE_ABI::tokenizer

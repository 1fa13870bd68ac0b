#pragma once
// Token texts by id and ids by text, and added tokens, which are matched in the text before anything else.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"
#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// Strings by id in one block of memory, with a hash index. Ids without a text (holes) are allowed.
class TokenTexts {
 public:
  TokenTexts() = default;
  /// `texts[id]`; where a text occurs twice, find() gives the last id, as the reference implementations do.
  explicit TokenTexts(const std::vector<std::string>& texts);

  std::size_t size() const { return offsets_.empty() ? 0 : offsets_.size() - 1; }
  std::string_view operator[](TokenId id) const {
    const auto i = static_cast<std::size_t>(id);
    return std::string_view(block_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
  }
  std::optional<TokenId> find(std::string_view text) const;

 private:
  std::size_t slot(std::string_view text) const;

  std::string block_;
  std::vector<std::size_t> offsets_;
  std::vector<TokenId> index_;  // open addressing, -1 is free
};

/// The text that an encoder reads: `text`, or its repaired form in `repaired` where it is no valid UTF-8.
/// Errors: bad_argument, longer than is encoded at once.
Result<std::string_view> encodable(std::string_view text, std::string& repaired);

/// The tokens' bytes one after the other; SpecialTokens::hide leaves out those of which `special` is true.
/// Errors: bad_argument, naming the id that is outside the vocabulary and its position.
Result<std::string> joined(const TokenTexts& bytes, const std::vector<bool>& special, std::span<const TokenId> ids,
                           SpecialTokens shown);

/// A token that is matched in the text as a whole.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false;                 ///< not matched under SpecialText::plain
  bool single_word = false;             ///< only between non-word characters
  bool lstrip = false, rstrip = false;  ///< also consumes the white space on that side
  bool normalized = false;              ///< matched in the normalised text, after the others
};

/// Finds added tokens: leftmost, then longest.
class AddedTokens {
 public:
  /// A token longer than this is refused by the readers: the search takes time in proportion to it.
  static constexpr std::size_t kMaxBytes = 4096;

  AddedTokens() = default;
  /// Tokens with empty content are never found.
  explicit AddedTokens(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }
  /// Null: not one of these.
  const AddedToken* find(TokenId id) const;

  /// A part of the text, or a token in it (`token` not null; the text it covers may include stripped white space).
  struct Piece {
    std::string_view text;
    const AddedToken* token = nullptr;
  };
  /// Appends to `pieces`.
  void split(std::string_view text, SpecialText special, std::vector<Piece>& pieces) const;

 private:
  struct Node {
    std::int32_t child = -1, sibling = -1, token = -1;
    unsigned char byte = 0;
  };
  std::int32_t child(std::int32_t node, unsigned char byte) const;
  const AddedToken* longest_at(std::string_view text, std::size_t i) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  std::array<bool, 256> starts_{};
};

}  // namespace moe::inline MOE_ABI::tokenizer

#pragma once
// Token ids of (context, continuation), split as the reference harness splits them.

#include <string_view>
#include <vector>

#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI::score {

/// Encodes text with the tokenizer's own default for BOS; a text that starts with BOS gets no second one.
class MOE_API PairEncoder {
 public:
  explicit PairEncoder(const Tokenizer& tokenizer);

  struct Pair {
    std::vector<TokenId> context, continuation;
    bool reencoded = false;  ///< the joint text left nothing for the continuation: encoded alone
  };

  /// White space at the context's end moves to the continuation; the continuation is the part of the joint text after
  /// as many tokens as the context has, even if a token spans the border.
  /// Errors: unsupported (an empty context and neither BOS nor EOS), bad_argument (from the tokenizer, or a
  /// continuation without tokens).
  Result<Pair> encode(std::string_view context, std::string_view continuation) const;
  /// The same for several continuations of one context.
  Result<std::vector<Pair>> encode(std::string_view context, const std::vector<std::string_view>& continuations) const;
  /// A prompt alone, white space kept. An empty one is BOS, or EOS where there is none.
  Result<std::vector<TokenId>> encode_context(std::string_view context) const;
  /// A text to score as a whole, after the prefix token (BOS, or EOS where there is none).
  Result<std::vector<TokenId>> encode_text(std::string_view text) const;

 private:
  /// BOS, or EOS where there is none. Errors: unsupported without both, beginning with `need`.
  Result<TokenId> prefix_token(std::string_view need) const;
  Result<std::vector<TokenId>> with_bos(std::string_view text) const;
  Result<Pair> without_context(std::string_view continuation) const;

  const Tokenizer& tokenizer_;
  std::string bos_text_;
};

}  // namespace moe::inline MOE_ABI::score

#pragma once
// Log-probabilities in the format of the OpenAI API, as specified in docs/SERVING.md.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe/generate.hpp"
#include "serve/api/json_out.hpp"

namespace moe::inline MOE_ABI::serve::api {

/// A token as text: bytes that are not whole characters as "bytes:\xE2\x96".
std::string token_text(std::string_view bytes);

/// Minus infinity, which JSON cannot represent, is -9999.
double listed(double log_probability);

/// Where tokens begin in a text, in characters, by the tokens' own bytes: one that begins inside a character begins
/// where that does.
class TextOffsets {
 public:
  std::int64_t next(std::string_view bytes);

 private:
  std::int64_t characters_ = 0;
};

/// The four lists of /v1/completions, of an echoed prompt and of a reply, in pieces.
class CompletionLogprobs {
 public:
  CompletionLogprobs(const Tokenizer& tokenizer, SpecialTokens special) : tokenizer_(tokenizer), special_(special) {}

  /// `shown[i]`: the bytes of prompt[i] in the echoed text; scores[i] is of prompt[i + 1].
  void add_prompt(std::span<const TokenId> prompt, std::span<const std::string_view> shown,
                  std::span<const PositionLogProbabilities> scores);
  void add(std::span<const TokenId> tokens, std::span<const PositionLogProbabilities> scores);
  bool empty() const { return tokens_.empty(); }
  /// What was added since the last call.
  Json take();

 private:
  void add_one(std::string_view shown, const PositionLogProbabilities& score);
  const Tokenizer& tokenizer_;
  SpecialTokens special_;
  TextOffsets offsets_;
  Json tokens_ = Json::array(), values_ = Json::array(), best_ = Json::array(), offset_list_ = Json::array();
};

/// The list "content" of /v1/chat/completions: one entry per token, with `count` best ones.
Json chat_logprobs(const Tokenizer& tokenizer, std::span<const PositionLogProbabilities> scores, std::size_t count);

}  // namespace moe::inline MOE_ABI::serve::api

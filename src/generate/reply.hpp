#pragma once
// The state of one reply: samples the next token, builds the text, detects the end. It uses logits only, no Session, so
// that every loop over a Session can use it.

#include <span>
#include <string>
#include <vector>

#include "generate/stop_text.hpp"
#include "moe/generate.hpp"

namespace moe::inline MOE_ABI::generate {

/// How the text of a reply begins.
enum class TextStart {
  goes_on,  ///< continues the prompt: a leading space stays
  alone,    ///< a separate text: SentencePiece's leading space is removed
};

class Reply {
 public:
  /// `tokenizer` may be null: then there is no text, and only token ids end the reply. `max_tokens` >= 1.
  /// Errors: bad_argument naming the setting.
  static Result<Reply> create(const Tokenizer* tokenizer, const GenerateOptions& options, std::int64_t max_tokens,
                              std::uint64_t seed, TextStart start);

  /// Samples a token from the last logits. `row` has all rows of the head, of which the first `known` are
  /// tokens. Returns the text that can be shown now; it is valid until the next call.
  /// Errors: non_finite; those of Tokenizer::decode.
  Result<std::string_view> take(std::span<const float> row, std::size_t known);
  /// Until the reply has so many tokens, end tokens and stop texts are disabled.
  void set_min_tokens(std::int64_t count) { min_tokens_ = count; }
  void see_prompt(std::span<const TokenId> tokens) { sampler_.see_prompt(tokens); }
  /// Ends the reply now; returns the text that was held back.
  std::string_view end(EndReason reason);

  const Sampler& sampler() const { return sampler_; }
  bool ended() const { return ended_; }
  /// The token to be run next.
  const TokenId& last() const { return result_.tokens.back(); }
  std::int64_t left() const { return max_tokens_ - static_cast<std::int64_t>(result_.tokens.size()); }
  /// Text, reason and tokens; the rest is the caller's to fill in.
  Generation& result() { return result_; }
  const Generation& result() const { return result_; }

 private:
  Reply(const Tokenizer* tokenizer, const GenerateOptions& options, Sampler sampler)
      : tokenizer_(tokenizer), stop_(options.stop), sampler_(std::move(sampler)) {}

  bool is_end_token(TokenId token) const;
  std::span<const float> without_end_tokens(std::span<const float> row);
  Result<void> append_text(TokenId token);
  void look_for_stop(std::size_t old_visible, std::size_t old_raw);
  std::size_t visible_before(std::size_t raw_end) const;
  std::string_view show(std::size_t end);

  const Tokenizer* tokenizer_;
  StopTexts stop_;
  Sampler sampler_;
  std::vector<TokenId> end_tokens_;  // rising
  SpecialTokens special_tokens_ = SpecialTokens::hide;
  TextStart start_ = TextStart::goes_on;
  Candidates candidates_ = Candidates::tokens;
  std::optional<std::int64_t> log_probabilities_;
  std::int64_t min_tokens_ = 0, max_tokens_ = 1;
  std::vector<float> masked_;
  // `raw_` holds special tokens too: stop texts may name them. hidden_ is where it differs from `visible_`.
  std::string raw_, visible_, piece_;
  struct Hidden {
    std::size_t at, size;
  };
  std::vector<Hidden> hidden_;
  std::size_t shown_ = 0;  // bytes of visible_ already returned
  bool ended_ = false;
  Generation result_;
};

}  // namespace moe::inline MOE_ABI::generate

#pragma once
// Requests as tokens: what the model sees, what is scored, and which requests are one forward pass.

#include <cstdint>
#include <span>
#include <vector>

#include "eval/run/prefix_tree.hpp"
#include "moe/eval/language_model.hpp"
#include "moe/parallel.hpp"
#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI::eval {

/// What the model sees for each request. Neighbours with equal inputs (the letters of one question) share the tokens.
class Inputs {
 public:
  explicit Inputs(std::size_t count) : tokens_(count), owner_(count) {}
  void set(std::size_t i, std::vector<TokenId> tokens) {
    owner_[i] = i;
    if (i > 0 && tokens == tokens_[owner_[i - 1]])
      owner_[i] = owner_[i - 1];
    else
      tokens_[i] = std::move(tokens);
  }
  /// As set(), for a request that may not look at its neighbour (the first one of a task of another thread).
  void set_own(std::size_t i, std::vector<TokenId> tokens) {
    owner_[i] = i;
    tokens_[i] = std::move(tokens);
  }
  const std::vector<TokenId>& operator[](std::size_t i) const { return tokens_[owner_[i]]; }
  std::size_t size() const { return owner_.size(); }

 private:
  std::vector<std::vector<TokenId>> tokens_;
  std::vector<std::size_t> owner_;
};

/// Score requests as tokens. A request that failed has no input and no target.
struct EncodedScores {
  Inputs inputs;
  std::vector<std::vector<TokenId>> targets;  ///< the continuation's tokens
  std::vector<Score> scores;                  ///< token counts, flags and failures are filled in
  std::int64_t first_row(std::size_t i) const {
    return static_cast<std::int64_t>(inputs[i].size()) - static_cast<std::int64_t>(targets[i].size());
  }
};

/// Context + continuation, cut from the left to the model's context, without the last token. In parallel over contexts.
/// Errors: those of PairEncoder, naming the question; cancelled.
MOE_API Result<EncodedScores> encode_scores(const Tokenizer& tokenizer, std::span<const ScoreRequest> requests,
                                            std::int64_t max_length, const ParallelFor& threads, const Hooks& hooks);

/// Whole texts as windows: each is a request of `windows`, in order; window w belongs to text owner[w].
struct EncodedTexts {
  EncodedScores windows;
  std::vector<std::size_t> owner;
  std::vector<Score> scores;  ///< of the texts; token counts are filled in
};
/// Errors: as encode_scores; unsupported by tokenizers without BOS and EOS.
MOE_API Result<EncodedTexts> encode_texts(const Tokenizer& tokenizer, std::span<const TextRequest> requests,
                                          std::int64_t max_length, const ParallelFor& threads, const Hooks& hooks);

/// One window of a text of `count` tokens: targets are tokens [begin, end); what the model sees ends before `end` and
/// begins at `first`, where -1 is the prefix token.
struct TextWindow {
  std::int64_t first = -1, begin = 0, end = 0;
  std::int64_t input_count() const { return end - 1 - first; }
};
/// Every token is a target once; no window sees more than max_length tokens.
MOE_API std::vector<TextWindow> text_windows(std::int64_t count, std::int64_t max_length);

/// Contexts of replies, cut from the left so that max_tokens fit behind them.
struct EncodedContexts {
  Inputs inputs;
  std::vector<Generation> replies;  ///< token counts, flags and failures are filled in
};
/// Errors: as encode_scores.
MOE_API Result<EncodedContexts> encode_contexts(const Tokenizer& tokenizer, std::span<const GenerateRequest> requests,
                                                std::int64_t max_length, const ParallelFor& threads,
                                                const Hooks& hooks);

/// Requests with equal inputs are one pass; passes sorted by tokens.
struct Passes {
  std::vector<Pass> list;
  std::vector<std::vector<std::int32_t>> requests;  ///< [pass]
  std::int64_t longest = 0, tokens = 0;
};
/// first_row[i]: the first position of request i whose logits are read. Requests without input are left out.
MOE_API Passes collect_passes(const Inputs& inputs, std::span<const std::int64_t> first_row);
MOE_API Passes collect_passes(const EncodedScores& encoded);

/// A number that equal token sequences share and others do not, but for one chance in 2^63. Never negative.
MOE_API std::int64_t pass_fingerprint(std::span<const TokenId> tokens);

}  // namespace moe::inline MOE_ABI::eval

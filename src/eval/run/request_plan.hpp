#pragma once
// Encodes requests: input tokens, target tokens, and which requests share a forward pass.

#include <cstdint>
#include <span>
#include <vector>

#include "batch/passes.hpp"
#include "moe/eval/language_model.hpp"
#include "moe/parallel.hpp"
#include "moe/tokenizer.hpp"
#include "score/pair_encoder.hpp"
#include "score/text_windows.hpp"

namespace moe::inline MOE_ABI::eval {

using batch::Inputs;
using score::PairEncoder;
using score::text_windows;
using score::TextWindow;

/// Score requests as tokens. A request that failed has no input and no target.
struct EncodedScores {
  Inputs inputs;
  std::vector<std::vector<TokenId>> targets;  ///< the continuation's tokens
  std::vector<Score> scores;                  ///< token counts, flags and failures are filled in
  std::vector<std::int32_t> tallies = {};     ///< ScoreRequest::tally; empty: 0
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

/// Contexts of replies, cut from the left so that max_tokens fit after them.
struct EncodedContexts {
  Inputs inputs;
  std::vector<Generation> replies;  ///< token counts, flags and failures are filled in
};
/// Errors: as encode_scores.
MOE_API Result<EncodedContexts> encode_contexts(const Tokenizer& tokenizer, std::span<const GenerateRequest> requests,
                                                std::int64_t max_length, const ParallelFor& threads,
                                                const Hooks& hooks);

/// A hash of a token sequence (collision probability 2^-63). Never negative.
MOE_API std::int64_t pass_fingerprint(std::span<const TokenId> tokens);

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// What a reply is asked for and what comes back. It becomes public with the Generator that fills it in.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe/model.hpp"
#include "moe/sampling.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

/// Why a reply ends.
enum class EndReason {
  end_token,   ///< one of the model's end tokens (Tokenizer::stop_ids) or of GenerateOptions::stop_tokens
  stop_text,   ///< one of GenerateOptions::stop
  max_tokens,  ///< the limit, or the end of the model's context or of the cache
  cancelled,
};
MOE_API std::string_view name_of(EndReason reason);

/// Whether the model's own end tokens end a reply.
enum class EndTokens { stop, ignore };
/// Whether special tokens stand in the text of a reply.
enum class SpecialTokens { hide, show };

struct TokenLogProbability {
  TokenId token = 0;
  double log_probability = 0;  ///< of the logits as the model gives them, before any penalty or temperature
};

/// One position of a reply.
struct PositionLogProbabilities {
  TokenLogProbability chosen;
  std::vector<TokenLogProbability> best;  ///< falling; equal ones by rising id
};

/// A stretch of a reply, as it is written.
struct Piece {
  std::size_t request = 0, reply = 0;  ///< of a batch; of GenerateOptions::replies
  std::string_view text;               ///< whole characters; bytes that are none are U+FFFD
};

struct GenerateOptions {
  std::int64_t max_tokens = 256;  ///< 0: as many as context and cache hold
  SamplingConfig sampling = {};   ///< reply i > 0 draws with a seed made from this one and i
  std::vector<std::string> stop = {};
  std::vector<TokenId> stop_tokens = {};
  EndTokens end_tokens = EndTokens::stop;
  SpecialTokens special_tokens = SpecialTokens::hide;
  std::int64_t replies = 1;                            ///< to the same prompt, which is computed once
  std::optional<std::int64_t> log_probabilities = {};  ///< how many best tokens are listed for each position
  std::function<void(const Piece&)> on_piece = {};     ///< from the calling thread
  std::function<bool()> cancelled = {};                ///< asked between the layers of a step, and between tokens
};

struct Generation {
  std::string text;  ///< without the stop text; all pieces one after the other
  EndReason end = EndReason::max_tokens;
  std::string stop;                                         ///< the stop text that ended it
  std::vector<TokenId> tokens;                              ///< the end token included
  std::vector<PositionLogProbabilities> log_probabilities;  ///< one per token, where asked for
  std::int64_t prompt_tokens = 0;
  std::int64_t reused_tokens = 0;  ///< of the prompt, found in the cache
  std::int64_t flops = 0;          ///< executed for this reply, exact; what replies share counts for the first of them
  std::uint64_t seed = 0;
  double prompt_seconds = 0;  ///< until the first token
  double reply_seconds = 0;   ///< from there to the last one
  /// Why this reply of a batch could not be finished: non_finite logits, a prompt without tokens or beyond the context.
  std::optional<Error> error;
};

}  // namespace moe::inline MOE_ABI

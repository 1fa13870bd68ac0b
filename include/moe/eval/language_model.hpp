#pragma once
// What the evaluator asks of a model: log-likelihoods of continuations, in bulk.

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "moe/error.hpp"
#include "moe/flops.hpp"

namespace moe::inline MOE_ABI::eval {

/// The texts are borrowed for the time of the call.
struct ScoreRequest {
  std::string_view context, continuation;
  std::string_view question;  ///< its id, for error messages
};

struct Score {
  double log_likelihood = 0;  ///< sum over the continuation's tokens, natural logarithm
  bool is_greedy = false;     ///< every token is the first maximum of its logits
  bool truncated = false;     ///< context tokens were cut from the left to fit the model
  bool reencoded = false;     ///< the continuation vanished inside a token of the joint text and was encoded alone
  std::int32_t context_tokens = 0;  ///< before truncation
  std::int32_t continuation_tokens = 0;
  std::int32_t pass_tokens = 0;  ///< of the forward pass that a run without reuse needs: context + continuation[:-1]
  std::int64_t pass = -1;        ///< requests of one call with equal passes share this number
};

struct Hooks {
  std::function<void(std::int64_t done, std::int64_t total)> on_progress;  ///< requests; from the calling thread
  std::function<bool()> cancelled;                                         ///< asked at least between steps
  /// Each score once, as soon as it is known, in any order (progress stores).
  std::function<void(std::int64_t request, const Score& score)> on_score;
};

class MOE_API LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  /// out[i] belongs to requests[i]; nothing depends on the order or the grouping of requests.
  /// Errors: bad_argument (a continuation that does not fit the context, naming the question), non_finite, cancelled,
  /// out_of_memory.
  virtual Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks& hooks) = 0;

  /// Model FLOPs of one forward pass over `tokens` tokens with logits at `rows` positions; empty when not known.
  virtual Work pass_work(std::int64_t tokens, std::int64_t rows) const;
  /// Work really done since the model was made.
  virtual Work executed() const;
};

}  // namespace moe::inline MOE_ABI::eval

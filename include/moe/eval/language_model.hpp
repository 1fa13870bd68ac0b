#pragma once
// The evaluator's interface to a model: log-likelihoods of continuations and greedy replies, in bulk.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"
#include "moe/flops.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

/// The texts are borrowed for the duration of the call.
struct ScoreRequest {
  std::string_view context = {}, continuation = {};
  std::string_view question = {};  ///< its id, for error messages
  std::int32_t tally = 0;          ///< which of LanguageModel::expert_load's tallies counts its experts
};

/// Why a request has no result. Failures are counted and reported, and the question counts as wrong.
enum class Failure {
  none,
  too_long,     ///< the answer alone, or the room for the reply, does not fit the model's context
  non_finite,   ///< a hidden state or a logit was not finite
  match_limit,  ///< a filter's pattern exceeds its limit of steps or memory on this reply
};
constexpr std::string_view name_of(Failure value) noexcept {
  switch (value) {
    case Failure::none: return "none";
    case Failure::too_long: return "too_long";
    case Failure::non_finite: return "non_finite";
    case Failure::match_limit: return "match_limit";
  }
  return "";
}

struct Score {
  double log_likelihood = 0;  ///< sum over the continuation's tokens, natural logarithm; NaN after a failure
  Failure failure = Failure::none;
  bool is_greedy = false;           ///< every token is the first maximum of its logits
  bool truncated = false;           ///< context tokens were cut from the left to fit the model
  bool reencoded = false;           ///< the continuation merged into a token of the context and was encoded alone
  std::int32_t context_tokens = 0;  ///< before truncation
  std::int32_t continuation_tokens = 0;
  std::int32_t pass_tokens = 0;    ///< of the forward pass without prefix reuse: context + continuation[:-1]
  std::int64_t pass = -1;          ///< fingerprint of that pass, the same for requests with equal passes
  std::int64_t pass_experts = -1;  ///< routed experts that the tokens of that pass went to; -1: not known
};

/// A text to score as a whole, whatever its length. Borrowed for the duration of the call.
struct TextRequest {
  std::string_view text = {};
  std::string_view question = {};  ///< its id, for error messages
  std::int32_t tally = 0;          ///< as of ScoreRequest
};

/// A reply to generate greedily. All texts are borrowed for the duration of the call.
struct GenerateRequest {
  std::string_view context = {};
  std::span<const std::string> stop =
      {};  ///< stop texts; EOS, as token or text, and the model's other end tokens also end the reply
  std::int64_t max_tokens = 256;    ///< the context is cut from the left until this many fit after it
  std::string_view question = {};   ///< its id, for error messages
  std::string_view think_end = {};  ///< the text begins after its last occurrence; empty: no thinking
  std::int32_t tally = 0;           ///< as of ScoreRequest
};

struct Generation {
  std::string text = {};            ///< up to the first stop text (excluded); white space is kept
  Failure failure = Failure::none;  ///< not none: there is no text
  bool finished = false;            ///< by a stop text or an end token, not by max_tokens
  bool truncated = false;           ///< context tokens were cut from the left to fit the model
  std::int32_t context_tokens = 0;  ///< before truncation
  std::int32_t pass_tokens = 0;     ///< context + generated[:-1]: the forward pass over the whole reply
  std::int32_t generated_tokens = 0;
  std::int64_t pass_experts = -1;  ///< routed experts that the tokens of that pass went to; -1: not known
};

struct Hooks {
  std::function<void(std::int64_t done, std::int64_t total)> on_progress = {};  ///< requests; from the calling thread
  std::function<bool()> cancelled = {};                                         ///< called at least between steps
  /// Called once for each score as soon as it is known, in any order (for the run store).
  std::function<void(std::int64_t request, const Score& score)> on_score = {};
  std::function<void(std::int64_t request, const Generation& reply)> on_reply = {};
};

class MOE_API LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  /// out[i] belongs to requests[i]; nothing depends on the order or the grouping of requests.
  /// A request that fails on its own has a Failure. Errors: bad_argument (from the tokenizer, naming the question),
  /// cancelled, out_of_memory; io and bad_file as Session::step.
  virtual Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks& hooks = {}) = 0;

  /// out[i] belongs to requests[i]; nothing depends on the order or the grouping of requests.
  /// Errors: as score; unsupported by models that only score.
  virtual Result<std::vector<Generation>> generate(std::span<const GenerateRequest> requests, const Hooks& hooks = {});

  /// Every token of each text is scored once, the first after the BOS (else EOS) token: windows of the model's context,
  /// each begins with the last token of the previous one; the last window is extended to the left to full length.
  /// Score::continuation_tokens counts all tokens, pass_tokens those of all windows. Errors: as score; unsupported.
  virtual Result<std::vector<Score>> score_texts(std::span<const TextRequest> requests, const Hooks& hooks = {});
  /// Model FLOPs of the windows of a text of so many tokens; empty when not known. `experts`: Score::pass_experts.
  virtual Work text_work(std::int64_t tokens, std::int64_t experts) const;

  /// Model FLOPs of one forward pass over `tokens` tokens with logits at `rows` positions; empty when not known.
  /// `experts`: Score::pass_experts; -1 means top_k for every token.
  virtual Work pass_work(std::int64_t tokens, std::int64_t rows, std::int64_t experts) const;
  /// Work executed since the model was created.
  virtual Work executed() const;
  /// Expert counts of that work; empty when not known.
  virtual ExpertLoad expert_load() const;
  /// Requests answered from a store, without any work, since the model was created.
  virtual std::int64_t stored_answers() const { return 0; }
};

}  // namespace moe::inline MOE_ABI::eval

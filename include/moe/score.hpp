#pragma once
// Log-likelihoods: of continuations of a context, of whole texts, and the best of several labels.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe/detail/math.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

struct Score {
  double log_likelihood = 0;  ///< natural logarithm, summed over the tokens; NaN with an error
  bool is_greedy = false;     ///< every token is the first maximum of its logits, as greedy decoding would choose
  std::int64_t tokens = 0;    ///< scored tokens
  std::int64_t flops = 0;     ///< executed for it, exact; shared work counts for the first score
  std::optional<Error> error =
      {};  ///< why there is no score: no tokens, more than the context or the cache holds, non_finite
  double perplexity() const { return detail::exp(-log_likelihood / static_cast<double>(tokens)); }
};

struct ScoreRequest {
  std::string context = {};
  std::vector<std::string> continuations = {};
};

/// The score by which labels are compared.
enum class CompareBy {
  log_likelihood,
  per_token,  ///< the mean over a label's tokens, for labels of different lengths
};
constexpr std::string_view name_of(CompareBy value) noexcept {
  switch (value) {
    case CompareBy::log_likelihood: return "log_likelihood";
    case CompareBy::per_token: return "per_token";
  }
  return "";
}

struct Choice {
  std::size_t best = 0;                    ///< the first of the most likely ones
  std::vector<double> probabilities = {};  ///< of each label, normalised to a sum of 1
  std::vector<Score> scores = {};
  std::int64_t flops = 0;           ///< executed for all labels of this request
  std::optional<Error> error = {};  ///< of the first label without a score; `best` is then meaningless
};

/// Scores texts in full batches. Shared prefixes are computed once, which does not change a bit: a score depends only
/// on the model, the session's precision and cache type, and its own text.
///
/// Context and continuation become tokens as in the reference harness (docs/EVALUATION.md): white space at the end of
/// the context belongs to the continuation; the two are encoded as one text and split after the context's tokens.
///
/// One thread at a time may use a Scorer; several may share a Model.
class MOE_API Scorer {
 public:
  /// With a Session of its own. Errors: those of Session::create; unsupported when the model has no usable tokenizer.
  static Result<Scorer> create(std::shared_ptr<const Model> model, const SessionOptions& options = {});
  /// Over an existing Session, which must outlive this; its sequences are not changed. (A Generator over the same
  /// Session keeps sequences in it; Generator::forget() frees them.)
  static Result<Scorer> create(Session& session);
  ~Scorer();
  Scorer(Scorer&&) noexcept;
  Scorer& operator=(Scorer&&) noexcept;

  /// log p(continuation | context) of each. Errors: bad_argument, naming what is too long or empty; those of
  /// Session::step, cancelled by its options.
  Result<std::vector<Score>> score(std::string_view context, std::span<const std::string> continuations);
  /// The same for many contexts. out[i][k] is continuation k of requests[i]; one that fails has Score::error set.
  /// Errors: out_of_memory, cancelled; io and bad_file as Session::step.
  Result<std::vector<std::vector<Score>>> score(std::span<const ScoreRequest> requests);

  /// Every token of the text after BOS (else EOS), in windows of the model's context: each begins with the last token
  /// of the previous one, and the last window is extended to the left to full length. Errors: as above; unsupported
  /// without BOS and EOS.
  Result<Score> score_text(std::string_view text);
  Result<std::vector<Score>> score_texts(std::span<const std::string> texts);

  /// Which of the labels follows the context best. Errors: those of score; bad_argument without labels.
  Result<Choice> choose(std::string_view context, std::span<const std::string> labels,
                        CompareBy by = CompareBy::log_likelihood);
  Result<std::vector<Choice>> choose(std::span<const ScoreRequest> requests, CompareBy by = CompareBy::log_likelihood);

  Session& session();

 private:
  struct Impl;
  explicit Scorer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moe::inline MOE_ABI

#pragma once
// What a run costs, from its questions and a configuration: no weights are needed, and nothing is computed.

#include <cstdint>
#include <memory>
#include <vector>

#include "moe/config.hpp"
#include "moe/eval/language_model.hpp"
#include "moe/parallel.hpp"

namespace moe::inline MOE_ABI::eval {

struct RunCost {
  std::int64_t requests = 0;
  std::int64_t tokens = 0;           ///< of the distinct passes, each from its first token
  std::int64_t computed_tokens = 0;  ///< of those, the ones left when shared prefixes are computed once
  std::int64_t reply_tokens = 0;     ///< at most: replies may end earlier
  std::int64_t replies = 0;
  std::int64_t reply_prompt_tokens = 0;  ///< of computed_tokens, those of prompts that are replied to
  std::int64_t least_cache_tokens = 0;   ///< of a cache in which every request can be computed
  std::int64_t request_bytes = 0;        ///< of the requests of a task in a SessionModel, at most: tokens, passes, tree
  /// Executed by a Session that computes them; an upper bound where there are replies or an expert_mass.
  std::int64_t flops = 0;
};

struct CostOptions {
  std::int64_t max_length = 0;  ///< as SessionModelOptions::max_length
  ParallelFor threads = {};
};

/// A LanguageModel that counts instead of answering: every score is 0, every reply empty.
class MOE_API CostModel : public LanguageModel {
 public:
  /// `tokenizer` is not null.
  CostModel(const ModelConfig& config, std::shared_ptr<const Tokenizer> tokenizer, const CostOptions& options = {});

  Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks& hooks = {}) override;
  Result<std::vector<Generation>> generate(std::span<const GenerateRequest> requests, const Hooks& hooks = {}) override;
  Result<std::vector<Score>> score_texts(std::span<const TextRequest> requests, const Hooks& hooks = {}) override;
  /// Of all requests so far.
  const RunCost& cost() const { return cost_; }

 private:
  ModelConfig config_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  CostOptions options_;
  RunCost cost_;
};

/// For a model without tokenizer files: one token for every four bytes, which is near what English text has in
/// vocabularies of 100,000 and more. Equal texts have equal tokens, so that shared prefixes are found.
MOE_API std::shared_ptr<const Tokenizer> estimating_tokenizer(std::int64_t vocab_size);

}  // namespace moe::inline MOE_ABI::eval

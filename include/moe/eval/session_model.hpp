#pragma once
// A libmoe model as the evaluator sees it: requests become one prefix tree, run in full batches.

#include <memory>

#include "moe/eval/language_model.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

struct SessionModelOptions {
  Precision precision = Precision::automatic;
  KvType kv = KvType::f16;
  ParallelFor threads = {};
  std::int64_t batch_tokens = 512;  ///< new tokens computed in one step; changes speed and memory, never a bit
  std::int64_t cache_bytes = std::int64_t{512} << 20;  ///< for live prefixes; what needs more gets it
  std::int64_t max_length = 0;  ///< tokens that the model sees at most; 0 (or more than that): what it was made for
  bool share_prefixes = true;   ///< false: every pass from its first token (comparisons)
};

/// One thread at a time may use an object; several objects may share a Model and run at once, as Sessions do.
class MOE_API SessionModel : public LanguageModel {
 public:
  /// Errors: unsupported when the model has no usable tokenizer (saying why).
  static Result<std::unique_ptr<SessionModel>> create(std::shared_ptr<const Model> model,
                                                      const SessionModelOptions& options = {});
  ~SessionModel() override;

  Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks& hooks = {}) override;
  Result<std::vector<Generation>> generate(std::span<const GenerateRequest> requests, const Hooks& hooks = {}) override;
  Result<std::vector<Score>> score_texts(std::span<const TextRequest> requests, const Hooks& hooks = {}) override;
  Work text_work(std::int64_t tokens, std::int64_t experts) const override;
  Work pass_work(std::int64_t tokens, std::int64_t rows, std::int64_t experts) const override;
  Work executed() const override;
  ExpertLoad expert_load() const override;
  /// Tokens that the model sees at most.
  std::int64_t max_length() const;
  /// Bytes of the key/value cache and scratch of the present Session.
  std::int64_t session_bytes() const;

 private:
  struct Impl;
  explicit SessionModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// LanguageModel over a Session: requests form a prefix tree, which is run in full batches.

#include <functional>
#include <memory>

#include "moe/eval/language_model.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

struct SessionModelOptions {
  Precision precision = Precision::automatic;
  KvType kv = KvType::f16;
  ParallelFor threads = {};
  std::int64_t batch_tokens = 512;                     ///< new tokens per step; affects speed and memory, never results
  std::int64_t cache_bytes = std::int64_t{512} << 20;  ///< for live prefixes; exceeded where one request needs more
  bool cache_is_limited = false;                       ///< such a request is out_of_memory instead
  /// Recurrent states of its sessions; 0: 1 GiB, or a state for every 8 tokens of a step if that is more.
  std::int64_t state_bytes = 0;
  std::int64_t max_length = 0;          ///< context limit in tokens; 0 (or above it): the model's own
  bool share_prefixes = true;           ///< false: compute every pass from its first token (for comparisons)
  std::shared_ptr<Stages> stages = {};  ///< SessionOptions::stages of its sessions
  /// Called before each of its sessions begins, if set: the other stages' begin as well then. Its errors are those of
  /// score() and generate().
  std::function<Result<void>(const SessionOptions&)> before_session = {};
};

/// One thread at a time may use an object; several objects may share a Model and run in parallel, as Sessions do.
class MOE_API SessionModel : public LanguageModel {
 public:
  /// Errors: bad_argument (no model, or a number out of its range); unsupported when the model has no usable tokenizer
  /// (saying why).
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
  /// The context limit in tokens.
  std::int64_t max_length() const;
  /// Bytes of key/value cache, recurrent states and scratch of the current Session.
  std::int64_t session_bytes() const;

 private:
  struct Impl;
  explicit SessionModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moe::inline MOE_ABI::eval

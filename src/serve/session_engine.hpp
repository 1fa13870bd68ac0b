#pragma once
// StepEngine over a Session.

#include <memory>

#include "batch/tree_plan.hpp"
#include "batch/tree_walk.hpp"
#include "batch/work.hpp"
#include "moe/flops.hpp"
#include "serve/step_engine.hpp"

namespace moe::inline MOE_ABI::serve {

/// Nothing else may use the Session.
class SessionEngine final : public StepEngine {
 public:
  /// `context`: the most tokens of a sequence; 0: the model's.
  explicit SessionEngine(std::unique_ptr<Session> session, std::int64_t context = 0);

  Result<Sequence> open() override { return session_->open(); }
  Result<Sequence> fork(Sequence parent) override { return session_->fork(parent); }
  Result<void> rewind(Sequence sequence, std::int64_t length) override { return session_->rewind(sequence, length); }
  Result<void> close(Sequence sequence) override { return session_->close(sequence); }
  std::int64_t free_tokens() const override { return session_->free_tokens(); }
  std::int64_t closing_frees(std::span<const Sequence> s) const override { return session_->closing_frees(s); }
  Result<StepOutput> step(Batch batch) override { return session_->step(batch); }

  std::int64_t cache_tokens() const override { return cache_tokens_; }
  std::int64_t context() const override { return context_; }
  std::int64_t vocab_size() const override { return session_->model().config().vocab_size; }
  std::int64_t most_states() const override { return batch::most_states(*session_); }
  std::int64_t long_rope() const override { return batch::long_rope_of(session_->model().config()); }
  const Tokenizer* tokenizer() const override { return session_->model().tokenizer().get(); }
  ParallelFor threads() const override { return session_->options().threads; }

  std::int64_t flops() const override { return session_->executed().total(); }
  std::int64_t flops_of(std::int64_t tokens, std::int64_t rows) const override {
    return forward_work(session_->model().config(), 0, tokens, rows, MlaForm::absorbed).total();
  }
  std::int64_t flops_of(std::int64_t cached_tokens, std::int64_t new_tokens, std::int64_t rows, std::size_t i,
                        const StepOutput& output) const override {
    return batch::flops_of(session_->model().config(), cached_tokens, new_tokens, rows, i, output);
  }

 private:
  std::unique_ptr<Session> session_;
  std::int64_t cache_tokens_ = 0, context_ = 0;
};

}  // namespace moe::inline MOE_ABI::serve

#pragma once
// The scheduler's interface to a Session, which tests can replace.

#include <cstdint>
#include <limits>
#include <span>

#include "moe/session.hpp"

namespace moe::inline MOE_ABI::serve {

/// Operations as in Session.
class StepEngine {
 public:
  virtual ~StepEngine() = default;

  virtual Result<Sequence> open() = 0;
  virtual Result<Sequence> fork(Sequence parent) = 0;
  virtual Result<void> rewind(Sequence sequence, std::int64_t length) = 0;
  virtual Result<void> close(Sequence sequence) = 0;
  virtual std::int64_t free_tokens() const = 0;
  virtual std::int64_t closing_frees(std::span<const Sequence> sequences) const = 0;
  virtual Result<StepOutput> step(Batch batch) = 0;

  virtual std::int64_t cache_tokens() const = 0;  ///< free_tokens() when nothing is open
  virtual std::int64_t context() const = 0;       ///< tokens that a sequence may have
  virtual std::int64_t vocab_size() const = 0;    ///< rows of the head
  /// Recurrent states that a step may take: two of each sequence, where it begins and where it ends.
  virtual std::int64_t most_states() const { return std::numeric_limits<std::int64_t>::max(); }
  /// LongRoPE's original context; 0: the model has another RoPE.
  virtual std::int64_t long_rope() const { return 0; }
  virtual const Tokenizer* tokenizer() const = 0;
  /// Threads for the scheduler's own work on logits.
  virtual ParallelFor threads() const = 0;

  virtual std::int64_t flops() const = 0;  ///< executed since the start
  /// FLOPs of the first `tokens` tokens of a sequence, by the router's top_k.
  virtual std::int64_t flops_of(std::int64_t tokens, std::int64_t rows) const = 0;
  /// FLOPs of item `i` of a step that has run, with the tokens that it computed again.
  virtual std::int64_t flops_of(std::int64_t cached_tokens, std::int64_t new_tokens, std::int64_t rows, std::size_t i,
                                const StepOutput& output) const = 0;
};

/// A new sequence of the first `length` tokens of another. Errors: those of Session::fork and rewind.
inline Result<Sequence> fork_at(StepEngine& engine, Sequence parent, std::int64_t length) {
  auto sequence = engine.fork(parent);
  if (!sequence) return sequence;
  if (auto cut = engine.rewind(*sequence, length); !cut) {
    static_cast<void>(engine.close(*sequence));
    return forward(cut);
  }
  return sequence;
}

}  // namespace moe::inline MOE_ABI::serve

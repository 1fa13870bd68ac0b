#pragma once
// Recurrent states of sequences at some of their positions: at the end, and at checkpoints for forks and rewinds. What
// is missing is computed again from the sequence's tokens.

#include <cstdint>
#include <vector>

#include "model/state_pool.hpp"
#include "model/step_run.hpp"
#include "moe/detail/state_layout.hpp"

namespace moe::inline MOE_ABI {

/// A piece of a segment: the state before its tokens, and where the state after them goes.
struct StatePiece {
  std::int64_t count = 0;
  const float* from = nullptr;  ///< null: all zeros
  float* to = nullptr;          ///< may be `from`
};

class SequenceStates {
 public:
  SequenceStates(const ModelConfig& config, const SessionOptions& options);

  const detail::StateLayout& layout() const { return layout_; }
  bool applies() const { return layout_.floats > 0; }

  /// Lets each run begin at the last position whose state is known. `runs` are those of `batch`.
  /// Errors: out_of_memory; then nothing has changed.
  Result<void> begin(Batch batch, std::vector<StepRun>& runs);
  /// Pieces of tokens [begin, begin + count) of a run, in order; called for rising `begin`.
  std::vector<StatePiece> pieces(std::size_t run, std::int64_t begin, std::int64_t count);
  /// The step succeeded: sequences have their new tokens and states.
  void commit(Batch batch);
  /// The step failed: all sequences stay as before, but for states that it has overwritten, which are forgotten.
  void drop();

  void fork(Sequence parent, Sequence child);
  void rewind(Sequence sequence, std::int64_t length);
  void close(Sequence sequence) { rewind(sequence, 0); }

  /// The most blocks, and their memory: of sequences that no step uses, and of steps that need no more for where their
  /// sequences begin and end.
  static std::int64_t block_limit(const detail::StateLayout& layout, const SessionOptions& options);
  static std::int64_t most_bytes(const detail::StateLayout& layout, const SessionOptions& options) {
    return block_limit(layout, options) * layout.bytes();
  }
  /// The most blocks that steps should need for where their sequences begin and end.
  static std::int64_t step_limit(const ModelConfig& config, const SessionOptions& options);

 private:
  struct State {
    std::int64_t position = 0;
    StatePool::Handle handle;
  };
  struct History {
    std::vector<TokenId> tokens;
    std::vector<State> states;  // rising positions
  };
  struct Run {
    std::int64_t position = 0;
    State start;               // position 0 without a handle: all zeros
    std::vector<State> stops;  // rising; the last is the end
    std::size_t next = 0;      // of stops
    const float* from = nullptr;
    History* overwrites = nullptr;  // the last stop has the block of `start`, which is its last state until then
  };

  History& of(Sequence sequence);
  void find_start(History& history, Run& run);
  Result<void> add_stops(History& history, Run& run, std::int64_t end, std::int64_t& room);
  bool is_checkpoint(std::int64_t position) const { return position % spacing_ == 0; }

  detail::StateLayout layout_;
  StatePool pool_;
  std::int64_t spacing_ = 0, step_limit_ = 0;
  std::vector<History> histories_;  // by sequence
  std::vector<Run> runs_;           // of the step
  std::vector<std::vector<TokenId>> whole_;
};

}  // namespace moe::inline MOE_ABI

#pragma once
// Composes a step: a token of every running reply, then slices of prompts.

#include <span>
#include <string>
#include <vector>

#include "serve/job_record.hpp"

namespace moe::inline MOE_ABI::serve {

/// A slice of a job's trunk, or of one of its replies.
struct StepItem {
  JobRecord* job = nullptr;
  ReplyRecord* reply = nullptr;  ///< null: of the trunk
  Sequence sequence = kNoSequence;
  std::int64_t begin = 0, count = 0;  ///< positions of the sequence
  Logits logits = Logits::none;
  std::int64_t row_count() const { return logits == Logits::none ? 0 : logits == Logits::last ? 1 : count; }
  std::span<const TokenId> tokens() const;
  /// Tokens of a prompt or of recomputation, as opposed to the next token of a reply.
  bool is_stretch() const { return reply == nullptr || count > 1; }
};

struct StepBudget {
  std::int64_t tokens = 512;  ///< of a step
  std::int64_t rows = 2;      ///< positions with logits
  std::int64_t replies = 64;  ///< that get a token
  /// Target time of a step while replies are running: it limits the replies of several owners (at least one of each);
  /// prompts get the rest, at least half. 0: no limit.
  double seconds = 0;
  double reply_seconds = 0, token_seconds = 0;  ///< measured time per token of replies and of prompts; 0: unknown
  /// LongRoPE's original context: no slice has logits on both sides of it, so that they do not depend on where slices
  /// end. 0: another RoPE.
  std::int64_t long_rope = 0;
};

/// The least number of prompt tokens per step, however many replies are running.
inline constexpr std::int64_t kLeastSlice = 16;

class Composer {
 public:
  /// `running` by age, without those that are paused or wait for another's trunk; their trunks are open.
  std::vector<StepItem> compose(std::span<JobRecord* const> running, const StepBudget& budget);

 private:
  // A slice that may still grow.
  struct Slice {
    StepItem item;
    std::int64_t end = 0;        // it can reach
    std::int64_t first_row = 0;  // position from which logits are needed
  };
  static std::vector<StepItem> next_tokens(std::span<JobRecord* const> running, const StepBudget& budget,
                                           bool has_slices);
  static std::vector<Slice> slices(std::span<JobRecord* const> running);
  static bool grow(Slice& slice, std::int64_t quantum, std::int64_t long_rope, std::int64_t& tokens_left,
                   std::int64_t& rows_left);
  void share_out(std::vector<Slice>& all, std::int64_t long_rope, std::int64_t tokens_left, std::int64_t rows_left);

  std::string first_owner_;  // of the last step; the next one begins after it
};

}  // namespace moe::inline MOE_ABI::serve

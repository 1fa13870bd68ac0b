#pragma once
// What runs in a step: a token of every reply that is being written, then stretches of prompts.

#include <span>
#include <string>
#include <vector>

#include "serve/job_record.hpp"

namespace moe::inline MOE_ABI::serve {

/// A stretch of a job's trunk, or of one of its replies.
struct StepItem {
  JobRecord* job = nullptr;
  ReplyRecord* reply = nullptr;  ///< null: of the trunk
  Sequence sequence = kNoSequence;
  std::int64_t begin = 0, count = 0;  ///< positions of the sequence
  Logits logits = Logits::none;
  std::int64_t row_count() const { return logits == Logits::none ? 0 : logits == Logits::last ? 1 : count; }
  std::span<const TokenId> tokens() const;
  /// Not the next token of a reply, but of a prompt or of what is computed again.
  bool is_stretch() const { return reply == nullptr || count > 1; }
};

struct StepBudget {
  std::int64_t tokens = 512;  ///< of a step
  std::int64_t rows = 2;      ///< positions with logits
  std::int64_t replies = 64;  ///< that get a token
  /// That a step may take while replies are being written: of several owners' replies so many get a token, and at least
  /// one of each owner; prompts get the rest of it, and at least a half. 0: no limit.
  double seconds = 0;
  double reply_seconds = 0, token_seconds = 0;  ///< of a token of a reply and of a prompt, as measured; 0: not known
};

/// However many replies are being written, a prompt goes on by so many tokens in each step.
inline constexpr std::int64_t kLeastSlice = 16;

class Composer {
 public:
  /// `running` by age, without those that are paused or wait for another's trunk; their trunks are open.
  std::vector<StepItem> compose(std::span<JobRecord* const> running, const StepBudget& budget);

 private:
  // A stretch that may still grow.
  struct Slice {
    StepItem item;
    std::int64_t end = 0;        // it can reach
    std::int64_t first_row = 0;  // position from which logits are needed
  };
  static std::vector<StepItem> next_tokens(std::span<JobRecord* const> running, const StepBudget& budget,
                                           bool has_slices);
  static std::vector<Slice> slices(std::span<JobRecord* const> running);
  static bool grow(Slice& slice, std::int64_t quantum, std::int64_t& tokens_left, std::int64_t& rows_left);
  void share_out(std::vector<Slice>& all, std::int64_t tokens_left, std::int64_t rows_left);

  std::string first_owner_;  // of the last step: the next one begins behind it
};

}  // namespace moe::inline MOE_ABI::serve

#pragma once
// The scheduler's record of a job: progress of its prompt and its replies.
//
// Its prompt runs first, in a sequence called the trunk. Where that ends the first tokens are drawn, and each reply
// goes on in a fork of it. A preempted job has lost only its sequences: its trunk runs again, then what its replies
// had.

#include <algorithm>
#include <chrono>
#include <memory>
#include <string_view>
#include <vector>

#include "batch/tree_plan.hpp"
#include "generate/reply.hpp"
#include "serve/job.hpp"
#include "serve/token_score.hpp"

namespace moe::inline MOE_ABI::serve {

using Clock = std::chrono::steady_clock;

inline constexpr Sequence kNoSequence = -1;

enum class JobState {
  waiting,    ///< in the queue
  running,    ///< may hold sequences
  preempted,  ///< was running, holds no sequences, and continues before waiting jobs
  done,       ///< its sink is not called any more
};

struct ReplyRecord {
  generate::Reply writing;
  Sequence sequence = kNoSequence;
  std::int64_t length = 0;  ///< tokens in the sequence, those of the prompt included
  std::int64_t served = 0;  ///< tokens of all steps up to its last one; the smallest has waited longest
  bool has_ended = false;
  Clock::time_point first_token = {};

  const std::vector<TokenId>& tokens() const { return writing.result().tokens; }
};

struct JobRecord {
  JobId id = 0;
  Job job = {};
  std::shared_ptr<JobSink> sink = {};
  JobState state = JobState::waiting;
  bool is_paused = false;
  Clock::time_point submitted = {};

  bool generates = true;  ///< false: only scores of the prompt are requested
  std::vector<ReplyRecord> replies = {};

  std::int64_t age = 0;            ///< in order of admission, ascending
  std::int64_t passed = 0;         ///< how often another job of the owner went first
  JobId waits_for = 0;             ///< a job whose trunk this one will continue; it waits until that is computed
  std::int64_t waited_tokens = 0;  ///< that it will take over then

  Sequence trunk = kNoSequence;
  std::int64_t trunk_length = 0, reused = 0;
  bool is_fresh = true;       ///< its trunk holds no token that it computed itself
  bool has_branched = false;  ///< its trunk is done
  bool has_drawn = false;     ///< its replies have their first tokens

  std::vector<TokenScore> scores = {};                ///< scores[i] of prompt[i]; [0] is unknown
  std::vector<PositionLogProbabilities> listed = {};  ///< the same as the sink gets them, from prompt[1] on
  std::int64_t known_scores = 0;                      ///< of those, computed by other jobs
  bool has_told_admission = false;
  bool has_told_prompt = false;  ///< scores were sent to its sink, and its tokens counted

  std::int64_t prompt_tokens() const { return static_cast<std::int64_t>(job.prompt.size()); }
  bool wants_scores() const { return job.score_prompt.has_value(); }
  /// Whether scores of other jobs contain everything requested.
  bool can_use_known_scores() const { return wants_scores() && *job.score_prompt <= 1; }
  /// Length of the trunk when it is done. Without a reply, the logits of the last token are not needed.
  std::int64_t trunk_end() const { return generates ? prompt_tokens() : prompt_tokens() - 1; }
  /// The first position whose logits are needed; trunk_end() where none are.
  std::int64_t first_row() const {
    if (wants_scores() && !has_all_scores()) return static_cast<std::int64_t>(scores.size()) - 1;
    return generates && !has_drawn ? trunk_end() - 1 : trunk_end();
  }
  bool has_all_scores() const { return static_cast<std::int64_t>(scores.size()) == prompt_tokens(); }

  std::int64_t pending(const ReplyRecord& reply) const {
    return prompt_tokens() + static_cast<std::int64_t>(reply.tokens().size()) - reply.length;
  }
  std::int64_t open_replies() const {
    return std::count_if(replies.begin(), replies.end(), [](const ReplyRecord& r) { return !r.has_ended; });
  }
  bool holds_sequences() const {
    return trunk != kNoSequence ||
           std::any_of(replies.begin(), replies.end(), [](const auto& r) { return r.sequence != kNoSequence; });
  }
  /// Additional pages for its current tokens, and one for each reply to continue.
  std::int64_t pages_to_come() const;
};

/// The most pages of a job that runs alone: its replies share the full pages of the prompt. `length` is a
/// reply's with the prompt.
constexpr std::int64_t most_pages(std::int64_t prompt, std::int64_t length, std::int64_t replies) {
  const std::int64_t shared = batch::full_pages_of(prompt);
  return shared + replies * (batch::pages_of(length) - shared);
}

}  // namespace moe::inline MOE_ABI::serve

#pragma once
// Replies, many at a time: prompts through their prefix tree, then a token per reply and step. A finished reply leaves
// the batch and the next prompt takes its place. Which token comes next, and when a reply ends, the writer says.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "batch/tree_plan.hpp"
#include "batch/tree_walk.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::batch {

/// Tokens that may follow a reply, to be checked in one step.
struct ReplyDraft {
  std::int32_t request = 0;
  std::int64_t most = 0;             ///< that there is room for
  std::vector<TokenId> tokens = {};  ///< proposed: at most that many, of the vocabulary
};

/// What a loop asks of the replies that it runs, by their requests in the plan.
class ReplyWriter {
 public:
  virtual ~ReplyWriter() = default;

  /// The logits of a row with its padding, of which the first `known` are tokens: after the prompt, or after the last
  /// token. Returns the token to be run next, nothing when the reply has ended. An error ends the run.
  virtual Result<std::optional<TokenId>> take(std::int32_t request, std::span<const float> row, std::size_t known) = 0;
  /// The reply cannot continue: the logits of its last token are not finite.
  virtual void give_up(std::int32_t request, const Error& why) = 0;
  /// Before a step of these replies: may propose tokens. A proposed token that take() then returns costs no step of its
  /// own.
  virtual void draft(std::span<ReplyDraft> /*drafts*/) {}
  /// Proposed tokens that were run, after take(): the reply now holds those that were right. None of a step that failed.
  virtual void on_draft(std::int32_t /*request*/, std::span<const TokenId> /*draft*/) {}
  /// Before each step, and before take() behind a draft's token. An error ends the run with it.
  virtual Result<void> before_step() { return {}; }
  /// FLOPs that were executed for this request; of what requests share, for the first of them.
  virtual void on_work(std::int32_t /*request*/, std::int64_t /*flops*/) {}
  /// Before take(): the number of routed experts that the tokens of this request's prompt and reply went to so far.
  /// Wrong drafts count; tokens kept from earlier runs do not, nor does what was computed again.
  virtual void on_experts(std::int32_t /*request*/, std::int64_t /*count*/) {}
  /// BatchItem::tally of a request; of what requests share, the first of them says it.
  virtual std::int32_t tally(std::int32_t /*request*/) const { return 0; }
  /// With SessionOptions::record_states: states [tokens, D] of this request's sequence from `position` on. Every
  /// request gets those of tokens that it shares, and none of tokens that were in the cache. Those of a draft come
  /// before it is known whether the draft is right.
  virtual void on_states(std::int32_t /*request*/, std::int64_t /*position*/, std::span<const float> /*states*/) {}
  /// FLOPs of steps that failed because of this request.
  virtual void on_wasted_work(std::int32_t /*request*/, std::int64_t /*flops*/) {}
  /// How many tokens at the beginning of this request's prompt were in the cache before the run.
  virtual void on_reuse(std::int32_t /*request*/, std::int64_t /*tokens*/) {}
  /// Whether keep() wants sequences.
  virtual bool keeps() const { return false; }
  /// The sequence of a reply that has ended: its prompt and all its tokens but the last. It is the writer's now.
  virtual void keep(std::int32_t /*request*/, Sequence /*sequence*/) {}
};

class ReplyLoop {
 public:
  /// All must live as long as the loop; `kept` may be null. A step computes up to `batch_tokens` new tokens.
  ReplyLoop(Session& session, std::int64_t batch_tokens, const TreePlan& plan, ReplyWriter& writer,
            KeptSequences* kept = nullptr);
  ~ReplyLoop();
  ReplyLoop(const ReplyLoop&) = delete;
  ReplyLoop& operator=(const ReplyLoop&) = delete;

  /// Errors: out_of_memory when the cache is below plan.least_pages (before the first step); those of the writer and of
  /// Session::step, except non_finite, which ends only the reply concerned. Replies that were being written are
  /// offered to keep() in any case.
  Result<void> run();

 private:
  // A reply that is being written.
  struct Active {
    std::int32_t request = 0;
    Sequence sequence = 0;
    TokenId last = 0;          // to be run next
    std::int64_t left = 0;     // tokens that may still follow
    std::int64_t end = 0;      // the sequence's length when all of them did
    std::int64_t experts = 0;  // that its tokens went to
    std::int64_t again = 0;    // pages that LongRoPE will make it compute again
    std::int64_t pages_to_come() const { return pages_of(end) - pages_of(end - left) + again; }
  };
  // One step: the first `active` replies go on by a token, and these nodes are computed: prompts, or replies that
  // begin.
  struct Plan {
    std::size_t active = 0;
    std::vector<ReplyDraft> drafts;          // [active]
    std::vector<std::vector<TokenId>> runs;  // [active] the last token and the draft behind it
    TreeStep nodes;
    std::int64_t drafted() const {
      std::size_t count = 0;
      for (const ReplyDraft& d : drafts) count += d.tokens.size();
      return static_cast<std::int64_t>(count);
    }
  };

  Result<void> run_steps();
  Plan make_plan(std::size_t most);
  void add_drafts(Plan& plan, std::int64_t room);
  std::int64_t draft_room(const Active& a) const;
  Result<void> step(const Plan& plan);
  Result<StepOutput> run(std::span<const BatchItem> items);
  void set_tallies(const Plan& plan, std::span<BatchItem> items) const;
  void tell_work(const Plan& plan, std::span<const BatchItem> of_nodes, const StepOutput& output);
  void tell_states(const Plan& plan, std::span<const BatchItem> of_nodes);
  Result<void> read(const Plan& plan, std::span<const BatchItem> of_nodes, const StepOutput& output);
  Result<bool> goes_on(Active& a, const StepOutput& output, std::int64_t row);
  Result<bool> goes_on(Active& a, const StepOutput& output, std::int64_t row, std::span<const TokenId> draft);
  Active begun(std::int32_t node, Sequence sequence) const;
  void release(const Active& a);
  void give_up(const Plan& plan, const Error& why);

  Session& session_;
  std::int64_t batch_tokens_;
  const TreePlan& plan_;
  ReplyWriter& writer_;
  KeptSequences* kept_;
  std::int64_t max_rows_ = 1, most_states_ = 0;
  std::int64_t wasted_flops_ = 0;  // of steps that failed
  bool drafting_ = true;           // not in the step after one that failed
  TreeWalk walk_;
  std::vector<Active> active_;
  std::vector<TokenId> first_;         // [request] the first token of a reply that is to begin
  std::vector<std::int64_t> experts_;  // [node] that its tokens and those above it went to
};

}  // namespace moe::inline MOE_ABI::batch

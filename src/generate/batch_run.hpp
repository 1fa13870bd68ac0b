#pragma once
// One call of a Generator: the requests as replies of a batch loop.

#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "batch/kept_sequences.hpp"
#include "batch/reply_loop.hpp"
#include "generate/drafts.hpp"
#include "generate/reply.hpp"
#include "moe/generate.hpp"

namespace moe::inline MOE_ABI::generate {

class BatchRun final : public batch::ReplyWriter {
 public:
  /// All must live as long as the run.
  BatchRun(Session& session, batch::KeptSequences& kept, const Drafters& drafters,
           std::span<const GenerateRequest> requests);

  /// Errors: out_of_memory.
  Result<std::vector<std::vector<Generation>>> run();
  /// Whether all that is still being written is cancelled.
  bool is_cancelled();

 private:
  using Clock = std::chrono::steady_clock;

  // A reply of a request; its number is the request's of the plan.
  struct Slot {
    std::size_t request = 0, reply = 0;
    std::optional<Reply> writing;
    Generation failed;  // of a reply that never began
    std::int64_t max_tokens = 1;
    bool is_done = false;
    std::optional<Clock::time_point> first_token;
    std::size_t tokens_shown = 0;
  };

  void add(std::size_t request);
  void add_failed(std::size_t request, std::size_t replies, const Error& why);
  Result<std::vector<TokenId>> tokens_of(const Prompt& prompt) const;
  Result<std::int64_t> room_behind(std::int64_t prompt_tokens) const;
  bool asks_to_cancel(std::size_t request);
  bool goes_on(const Slot& s);
  batch::TreePlan plan() const;
  batch::TreePlan plan(bool share) const;

  Result<std::optional<TokenId>> take(std::int32_t index, std::span<const float> row, std::size_t known) override;
  void give_up(std::int32_t index, const Error& why) override;
  void draft(std::span<batch::ReplyDraft> drafts) override;
  void on_draft(std::int32_t index, std::span<const TokenId> draft) override;
  Result<void> before_step() override;
  void on_states(std::int32_t index, std::int64_t position, std::span<const float> states) override;
  void on_work(std::int32_t index, std::int64_t flops) override;
  void on_wasted_work(std::int32_t index, std::int64_t flops) override;
  void on_reuse(std::int32_t index, std::int64_t tokens) override;
  bool keeps() const override { return true; }
  void keep(std::int32_t index, Sequence sequence) override;

  Slot& slot(std::int32_t index) { return slots_[static_cast<std::size_t>(index)]; }
  Generation& result(Slot& s) { return s.writing ? s.writing->result() : s.failed; }
  void show(Slot& s, std::string_view text);
  void finish(Slot& s);

  Session& session_;
  batch::KeptSequences& kept_;
  std::span<const GenerateRequest> requests_;
  const Tokenizer* tokenizer_;
  std::int64_t room_ = 0;  // tokens that the cache holds of one sequence
  Drafts drafts_;
  Clock::time_point start_;
  std::vector<Slot> slots_;
  std::vector<std::vector<TokenId>> prompts_;  // [request]
  std::vector<bool> cancelled_;                // [request]
  batch::Inputs inputs_;                       // [slot]
};

}  // namespace moe::inline MOE_ABI::generate

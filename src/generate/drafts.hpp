#pragma once
// The drafts of one call of a Generator: who proposes, how much, and what came of it.

#include <memory>
#include <span>
#include <vector>

#include "batch/reply_loop.hpp"
#include "generate/draft_length.hpp"
#include "generate/model_drafter.hpp"
#include "generate/ngram_index.hpp"
#include "generate/reply.hpp"

namespace moe::inline MOE_ABI::generate {

/// Of a generator; null where it has none.
struct Drafters {
  ModelDrafter* model = nullptr;
  ModelDrafter* mtp = nullptr;
};

class Drafts {
 public:
  /// All must outlive this.
  Drafts(const Model& target, const Drafters& drafters);
  ~Drafts();
  Drafts(const Drafts&) = delete;
  Drafts& operator=(const Drafts&) = delete;

  /// Errors: bad_argument naming the option.
  Result<void> check(const DraftOptions& options) const;
  /// The reply is to have drafts; both must stay where they are.
  void add(std::int32_t index, const GenerateOptions& options, std::span<const TokenId> prompt);
  bool any() const { return !replies_.empty(); }

  /// Fills drafts; replies without one stay empty. reply_of(index) is the reply behind it.
  template <class ReplyOf>
  void propose(std::span<batch::ReplyDraft> drafts, ReplyOf&& reply_of) {
    if (!any()) return;
    for (batch::ReplyDraft& draft : drafts)
      if (Followed* f = followed(draft.request)) prepare(*f, draft, reply_of(draft.request), drafts.size());
    draw(drafts);
  }
  /// A draft was run; `reply`: the tokens of its reply now, with the one that ended it.
  void note(std::int32_t index, std::span<const TokenId> draft, std::span<const TokenId> reply);
  /// ReplyWriter::on_states.
  void see(std::int32_t index, std::int64_t position, std::span<const float> states);
  void end(std::int32_t index);
  DraftReport report(std::int32_t index) const;

 private:
  // A reply with drafts.
  struct Followed {
    explicit Followed(const GenerateOptions& o) : options(&o), length(o.draft) {}
    const GenerateOptions* options;
    std::vector<TokenId> written;  // prompt and reply
    std::size_t prompt = 0;        // tokens of the prompt
    NgramIndex index;
    LengthControl length;
    std::size_t trust = 0;  // of the draft that was made last
    DraftReport report;
    // Of tokens that the MTP layer has not run yet: of position first_state and on.
    std::int64_t first_state = 0;
    std::vector<float> states;
  };
  Followed* followed(std::int32_t index);
  void prepare(Followed& f, batch::ReplyDraft& draft, const Reply& reply, std::size_t replies);
  void follow(Followed& f, std::int32_t index);
  void run_states(Followed& f, std::int32_t index);
  void look_up(Followed& f, batch::ReplyDraft& draft, double cost);
  void draw(std::span<batch::ReplyDraft> drafts);
  void draw(ModelDrafter* drafter, std::vector<ModelDrafter::Item>& items);
  ModelDrafter::Item mtp_item(const Followed& f, std::int32_t index, std::size_t tokens) const;
  double cost_of(ModelDrafter* drafter) const;

  const Model& target_;
  Drafters drafters_;
  double token_cost_;
  double draft_cost_, mtp_cost_;                    // of a token of the draft model and of the MTP layer
  std::vector<std::unique_ptr<Followed>> replies_;  // [index], null where there are no drafts
  std::vector<ModelDrafter::Item> items_;           // of this step, for the draft model
  std::vector<ModelDrafter::Item> mtp_items_;       // and for the MTP layer
};

}  // namespace moe::inline MOE_ABI::generate

#pragma once
// Drafts by a second model, or by the MTP layer of the model itself: it follows every reply in a Session of its own.
//
// An MTP layer reads pairs of a token and the state of the one before it. Its sequences therefore hold what is written
// without its first token, and the states come from the model's own steps. For tokens of a draft, whose states nobody
// knows yet, it takes its own; those tokens are run again once they are written.

#include <memory>
#include <span>
#include <vector>

#include "moe/draft.hpp"
#include "moe/sampling.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::generate {

class ModelDrafter {
 public:
  /// Errors: bad_argument when the vocabularies differ, naming the first difference; those of Session::create.
  static Result<std::unique_ptr<ModelDrafter>> create(const Model& target, std::shared_ptr<const Model> model,
                                                      const SessionOptions& options);

  /// With the MTP layer of the model. Errors: bad_argument when it was loaded without; those of Session::create.
  static Result<std::unique_ptr<ModelDrafter>> create_mtp(const Model& target, SessionOptions options);

  /// A reply that wants a draft.
  struct Item {
    std::int32_t reply = 0;
    std::span<const TokenId> written;  ///< prompt and reply; for an MTP layer behind their first token
    std::int64_t most = 0;
    const Sampler* sampler = nullptr;  ///< the reply's: a copy draws from the draft's logits with the same numbers
    bool all_rows = false;             ///< Candidates::all_rows
    std::vector<TokenId>* draft = nullptr;
    TokenId before = 0;                  ///< mtp: that first token
    std::int64_t first_state = 0;        ///< mtp: which of `written` the first of `states` goes with
    std::span<const float> states = {};  ///< mtp: [n, D]; of others nothing is known, and zeros are taken
    std::int64_t flops = 0;              ///< out: executed for it
  };
  /// Fills the drafts, one token of all of them per step. What cannot be computed (no room in the cache, the end of the
  /// draft model's context, cancelled, not finite) makes a draft shorter or empty; it is no error.
  void propose(std::span<Item> items);
  /// Runs all that is written: of a prompt, as long as its states are there.
  void follow(Item& item);
  /// The reply has ended. Its tokens stay in the cache, for replies that begin alike.
  void end(std::int32_t reply);
  void forget();

  Session& session() { return *session_; }

 private:
  explicit ModelDrafter(std::unique_ptr<Session> session) : session_(std::move(session)) {}

  // A sequence of the draft's session.
  struct Entry {
    Sequence sequence = 0;
    std::int32_t reply = -1;  // -1: of one that has ended
    std::vector<TokenId> tokens;
    std::size_t valid_tokens = 0;  // mtp: leading tokens whose cache entries stay valid once they are written
    TokenId before = 0;
  };
  // A draft in the making.
  struct Drawing {
    Item* item = nullptr;
    Sampler sampler;
    std::vector<TokenId> next;  // tokens to be run
    std::vector<float> states;  // that go with them
  };
  bool reads_states() const { return session_->model().config().is_mtp_layer; }
  std::vector<float> states_for(const Item& item, std::size_t first, std::size_t count) const;
  Entry* entry_of(std::int32_t reply);
  std::size_t common_part(const Entry& entry, const Item& item) const;
  bool go_back(const Item& item, std::size_t most);
  const Entry* longest(const Item& item) const;
  bool begin(Item& item);
  bool join(Item& item);
  bool catch_up(Item& item, std::size_t count);
  bool run(std::span<const BatchItem> batch, std::span<Item* const> items, StepOutput& output);
  bool drop_one();
  std::vector<Drawing> start(std::span<Item> items);
  bool draw(std::vector<Drawing>& drawings);

  std::unique_ptr<Session> session_;
  std::vector<Entry> entries_;  // oldest first
};

}  // namespace moe::inline MOE_ABI::generate

#pragma once
// The messages between the stages of a pipeline. In a step, each stage sends the next one a command, a message per
// chunk of tokens, and an end: done, or the error. The last stage sends no command; its chunks are logits and go to
// stage 0.

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "moe/stages.hpp"

namespace moe::inline MOE_ABI {

/// Name of the last entry of StageCard::equal: the hash of the model's bytes.
inline constexpr char kModelContent[] = "model content";

/// What must be equal in all stages, or is only shown.
struct StageCard {
  LayerRange layers;
  std::vector<std::pair<std::string, std::string>> equal;  // name and value
};

/// A change of stage 0's sequences, which the others repeat.
struct StageOperation {
  enum class Kind : std::int64_t { open, fork, rewind, close };
  Kind kind = Kind::open;
  std::int64_t sequence = 0;  // of open and fork, the one that came out
  std::int64_t value = 0;     // of fork the parent, of rewind the length
};

struct StageCommand {
  bool ends = false;          // the session
  bool last_was_done = true;  // the step before, in every stage
  std::vector<StageOperation> operations;
  struct Item {
    Sequence sequence = 0;
    Logits logits = Logits::none;
    std::int32_t tally = 0;
    std::vector<TokenId> tokens;
  };
  std::vector<Item> items;
};

/// What a chunk brings along from the stages before: what they executed, and where tokens went.
struct StageRecord {
  Work work;
  std::vector<std::uint16_t> routes;  // of each of their MoE layers, in order: per token the number of experts, K ids
};

class StageLink {
 public:
  StageLink(std::shared_ptr<StageTransport> transport, const StageOptions& options)
      : transport_(std::move(transport)), options_(options) {}

  std::int32_t rank() const { return transport_->rank(); }
  std::int32_t size() const { return transport_->size(); }
  bool is_first() const { return rank() == 0; }
  bool is_last() const { return rank() + 1 == size(); }
  /// Messages have been lost: no step is possible any more.
  bool is_broken() const { return is_broken_; }
  /// Chunks that may be under way: one in each stage, and one before it.
  std::size_t most_under_way() const { return 2 * static_cast<std::size_t>(size()); }

  /// All stages compare their cards. Errors: bad_config, naming what differs; io.
  Result<void> agree(const StageCard& card, std::int64_t layer_count);

  // Stage 0's session
  void note(const StageOperation& operation) { operations_.push_back(operation); }
  Result<void> begin_step(Batch batch);
  void end_session();
  // The sessions of the other stages. The command has then been passed on to the next stage.
  Result<StageCommand> next_command();

  /// Errors of all below: what ended the step in another stage; io; bad_file (a damaged message).
  /// The next chunk from the stage before, or for stage 0 the logits of its oldest one.
  Result<void> receive(std::span<float> values, StageRecord& record);
  /// A chunk to the stage after, or the last one's logits to stage 0.
  Result<void> send(std::span<const float> values, const StageRecord& record);
  /// Tells the next stage that the step has ended here, with `done` as its result.
  Result<void> tell_end(const Result<void>& done);
  /// Receives what the stage before still sends for this step. Returns `done` if it is an error, else the error that
  /// ended the step in another stage.
  Result<void> settle(const Result<void>& done);

 private:
  struct Message;
  std::int32_t before() const { return is_first() ? size() - 1 : rank() - 1; }
  std::int32_t after() const { return is_last() ? 0 : rank() + 1; }
  Result<void> put(std::int32_t to, std::uint32_t kind, std::span<const std::byte> body, ErrorCode code = {});
  Result<Message> take(std::int32_t from, double seconds);
  Result<Message> take_of_step();
  void note_begin(const StageCommand& command);
  void note_end();
  double patience() const;

  std::shared_ptr<StageTransport> transport_;
  StageOptions options_;
  std::vector<StageOperation> operations_;  // not sent yet
  bool last_was_done_ = true;
  bool is_broken_ = false;        // messages can no longer be trusted
  bool before_has_ended_ = true;  // the stage before has ended this step
  std::int64_t steps_ = 0, step_began_ns_ = 0, step_tokens_ = 0;
  // Of this session's steps so far that were done; 0: none.
  std::int64_t longest_step_ns_ = 0;
  double slowest_token_ns_ = 0.0;  // of steps that were no single tokens
};

namespace detail {

struct StagesAccess {
  static StageLink& link_of(Stages& stages) { return *stages.link_; }
};

}  // namespace detail

inline StageLink& link_of(Stages& stages) { return detail::StagesAccess::link_of(stages); }

}  // namespace moe::inline MOE_ABI

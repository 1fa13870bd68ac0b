#pragma once
// Text generation: replies to one or many prompts, streamed while they are written.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "moe/chat.hpp"
#include "moe/draft.hpp"
#include "moe/model.hpp"
#include "moe/sampling.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

/// Why a reply ends.
enum class EndReason {
  end_token,   ///< one of the model's end tokens (Tokenizer::stop_ids) or of GenerateOptions::stop_tokens
  stop_text,   ///< one of GenerateOptions::stop
  max_tokens,  ///< the limit, or the end of the model's context or of the cache
  cancelled,
};
MOE_API std::string_view name_of(EndReason reason);

/// Whether the model's own end tokens end a reply.
enum class EndTokens { stop, ignore };
constexpr std::string_view name_of(EndTokens value) noexcept {
  switch (value) {
    case EndTokens::stop: return "stop";
    case EndTokens::ignore: return "ignore";
  }
  return "";
}
/// What the next token is chosen from.
enum class Candidates {
  tokens,
  all_rows,  ///< all rows of the head, padding without text included: what reference programs do
};
constexpr std::string_view name_of(Candidates value) noexcept {
  switch (value) {
    case Candidates::tokens: return "tokens";
    case Candidates::all_rows: return "all_rows";
  }
  return "";
}

struct TokenLogProbability {
  TokenId token = 0;
  double log_probability = 0;  ///< of the logits as the model gives them, before any penalty or temperature
};

/// One position of a reply.
struct PositionLogProbabilities {
  TokenLogProbability chosen = {};
  std::vector<TokenLogProbability> best = {};  ///< most likely first; equal ones by ascending id
};

/// A piece of a reply while it is written.
struct Piece {
  std::size_t request = 0, reply = 0;    ///< index in the batch; index among GenerateOptions::replies
  std::string_view text = {};            ///< whole characters; invalid UTF-8 becomes U+FFFD
  std::span<const TokenId> tokens = {};  ///< sampled since the last piece; their text may come with a later one
};

struct GenerateOptions {
  std::int64_t max_tokens = 256;  ///< 0: as many as fit the context and the cache
  /// Reply i > 0 samples with a seed derived from this one and i. (Braces would make g++ 12 warn of uninitialised
  /// memory wherever options are written with designated initialisers.)
  SamplingConfig sampling = SamplingConfig();
  std::vector<std::string> stop = {};
  std::vector<TokenId> stop_tokens = {};
  EndTokens end_tokens = EndTokens::stop;
  SpecialTokens special_tokens = SpecialTokens::hide;
  Candidates candidates = Candidates::tokens;
  std::int64_t replies = 1;                            ///< to the same prompt, which is computed once
  std::optional<std::int64_t> log_probabilities = {};  ///< top tokens to list for each position
  DraftOptions draft = {};                             ///< affects speed and FLOPs, never the reply
  std::function<void(const Piece&)> on_piece = {};     ///< for each token, also without text; from the calling thread
  /// Called between tokens and between the layers of a step. A step is abandoned when all its requests are cancelled.
  std::function<bool()> cancelled = {};
};

struct Generation {
  std::string text = {};  ///< without the stop text; the concatenation of all pieces
  EndReason end = EndReason::max_tokens;
  std::string stop = {};                                         ///< the stop text that ended it
  std::vector<TokenId> tokens = {};                              ///< the end token included
  std::vector<PositionLogProbabilities> log_probabilities = {};  ///< one per token, where asked for
  std::int64_t prompt_tokens = 0;
  std::int64_t reused_tokens = 0;  ///< prompt tokens that were found in the cache
  /// Executed for this reply, exact: shared work counts for the first reply, drafts for theirs, also rejected ones,
  /// which were computed for nothing.
  std::int64_t flops = 0;
  DraftReport draft = {};
  std::uint64_t seed = 0;
  double prompt_seconds = 0;  ///< until the first token
  double reply_seconds = 0;   ///< from there to the last one
  /// Why this reply of a batch failed: an invalid option or prompt, or non_finite logits.
  std::optional<Error> error = {};
};

/// A text, to which the tokenizer's BOS and EOS are added; token ids, used unchanged; or a conversation, rendered by
/// the model's chat template (encode_chat in chat.hpp).
using Prompt = std::variant<std::string, std::vector<TokenId>, Chat>;

struct GenerateRequest {
  Prompt prompt = {};
  GenerateOptions options = {};
};

/// Writes replies. Keys and values stay in the cache: a prompt that begins with an earlier prompt and its reply (the
/// next turn of a conversation) costs only its new tokens. The least recently used conversations are evicted first.
///
/// A reply depends only on the model, the session's precision and cache type, its prompt and its options: the same bits
/// alone or in a batch, with or without reuse, on any number of threads. (The size of the cache matters only where
/// max_tokens is 0 or exceeds it.)
///
/// One thread at a time may use a Generator; several may share a Model.
class MOE_API Generator {
 public:
  /// With a Session of its own. Errors: those of Session::create.
  static Result<Generator> create(std::shared_ptr<const Model> model, const SessionOptions& options = {});
  /// Over an existing Session, which must outlive this. Other sequences in it are not changed; the cache is shared.
  /// Cancellation is then checked between tokens only.
  explicit Generator(Session& session);
  ~Generator();
  Generator(Generator&&) noexcept;
  Generator& operator=(Generator&&) noexcept;

  /// One reply. Cancellation is not an error: the text so far is returned with EndReason::cancelled.
  /// Errors: bad_argument (no tokens in the prompt, more than the context or the cache holds, an id outside the
  /// vocabulary, an option), unsupported (a text, and no tokenizer), those of encode_chat and of Session::step.
  Result<Generation> generate(const Prompt& prompt, const GenerateOptions& options = {});

  /// Many prompts with one or more replies each, in full batches: shared prefixes are computed once, and the next
  /// prompt starts as soon as a reply ends. out[i][k] is reply k to requests[i]; a reply that fails has
  /// Generation::error set.
  /// Errors: out_of_memory; io and bad_file as Session::step.
  Result<std::vector<std::vector<Generation>>> generate(std::span<const GenerateRequest> requests);

  /// The model of DraftKind::model, with a Session of its own; it replaces an earlier one. The target's cancellation is
  /// the draft's, too. Errors: bad_argument when its vocabulary is not that of the generator's model, naming the first
  /// difference; those of Session::create.
  Result<void> use_draft_model(std::shared_ptr<const Model> model, const SessionOptions& options = {});
  /// Of the draft model; null without one.
  const Session* draft_session() const;

  /// The MTP layer of the generator's model, for DraftKind::mtp, with a Session of its own; it replaces an earlier one.
  /// It follows prompts and replies from here on; of tokens that were in the cache before it knows no states, and guesses
  /// less well behind them. A prompt longer than SessionOptions::chunk_tokens takes several steps, because the states of
  /// a step are in memory. Errors: bad_argument, when the model was loaded without it (LoadOptions::mtp) or the
  /// generator's session records no states (SessionOptions::record_states); those of Session::create.
  Result<void> use_mtp(const SessionOptions& options = {});
  /// Of the MTP layer; null without one.
  const Session* mtp_session() const;

  /// Empties the cache of earlier conversations.
  void forget();
  Session& session();

 private:
  struct Impl;
  explicit Generator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moe::inline MOE_ABI

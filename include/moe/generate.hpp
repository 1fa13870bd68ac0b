#pragma once
// Text in, text out: replies of a model to prompts, one or many at a time, streamed while they are written.

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
  all_rows,  ///< of the model's head, also its padding, which has no text: what reference programs do with ids
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
  std::vector<TokenLogProbability> best = {};  ///< falling; equal ones by rising id
};

/// A stretch of a reply, as it is written.
struct Piece {
  std::size_t request = 0, reply = 0;    ///< of a batch; of GenerateOptions::replies
  std::string_view text = {};            ///< whole characters; bytes that are none are U+FFFD
  std::span<const TokenId> tokens = {};  ///< drawn since the last piece; their text may come with a later one
};

struct GenerateOptions {
  std::int64_t max_tokens = 256;  ///< 0: as many as context and cache hold
  /// Reply i > 0 draws with a seed made from this one and i. (Braces would make g++ 12 warn of uninitialised memory
  /// wherever options are written with designated initialisers.)
  SamplingConfig sampling = SamplingConfig();
  std::vector<std::string> stop = {};
  std::vector<TokenId> stop_tokens = {};
  EndTokens end_tokens = EndTokens::stop;
  SpecialTokens special_tokens = SpecialTokens::hide;
  Candidates candidates = Candidates::tokens;
  std::int64_t replies = 1;                            ///< to the same prompt, which is computed once
  std::optional<std::int64_t> log_probabilities = {};  ///< how many best tokens are listed for each position
  std::function<void(const Piece&)> on_piece = {};     ///< for each token, also without text; from the calling thread
  /// Asked between tokens, and between the layers of a step, which is given up when all that it serves is cancelled.
  std::function<bool()> cancelled = {};
};

struct Generation {
  std::string text = {};  ///< without the stop text; all pieces one after the other
  EndReason end = EndReason::max_tokens;
  std::string stop = {};                                         ///< the stop text that ended it
  std::vector<TokenId> tokens = {};                              ///< the end token included
  std::vector<PositionLogProbabilities> log_probabilities = {};  ///< one per token, where asked for
  std::int64_t prompt_tokens = 0;
  std::int64_t reused_tokens = 0;  ///< of the prompt, found in the cache
  std::int64_t flops = 0;          ///< executed for this reply, exact; what replies share counts for the first of them
  std::uint64_t seed = 0;
  double prompt_seconds = 0;  ///< until the first token
  double reply_seconds = 0;   ///< from there to the last one
  /// Why this reply of a batch could not be finished: an option or a prompt that cannot be, non_finite logits.
  std::optional<Error> error = {};
};

/// A text, with what the model's tokenizer puts around a text (BOS); token ids as they are; or a conversation, as the
/// model's chat template writes it (encode_chat in chat.hpp).
using Prompt = std::variant<std::string, std::vector<TokenId>, Chat>;

struct GenerateRequest {
  Prompt prompt = {};
  GenerateOptions options = {};
};

/// Writes replies. What it computed stays in the cache: a prompt that begins like an earlier prompt with its reply, the
/// next turn of a conversation, costs only its new tokens. When room is needed the conversations used least recently go.
///
/// A reply depends on the model, the session's precision and cache type, its prompt and its options, and on nothing
/// else: the same bits alone or in a batch, with or without reuse, on any number of threads. (The room of the cache
/// counts where max_tokens is 0 or goes beyond it.)
///
/// One thread at a time may use a Generator; several may share a Model.
class MOE_API Generator {
 public:
  /// With a Session of its own. Errors: those of Session::create.
  static Result<Generator> create(std::shared_ptr<const Model> model, const SessionOptions& options = {});
  /// Over a Session that lives longer. Sequences which others have open in it stay as they are; its room is shared.
  /// Then cancellation is asked for between tokens only.
  explicit Generator(Session& session);
  ~Generator();
  Generator(Generator&&) noexcept;
  Generator& operator=(Generator&&) noexcept;

  /// One reply. Cancelled is no error: what was written comes back with EndReason::cancelled.
  /// Errors: bad_argument (no tokens in the prompt, more than the context or the cache holds, an id outside the
  /// vocabulary, an option), unsupported (a text, and no tokenizer), those of encode_chat, non_finite, out_of_memory.
  Result<Generation> generate(const Prompt& prompt, const GenerateOptions& options = {});

  /// Many prompts with one or more replies each, in full batches: what they share is computed once, a reply that ends
  /// makes room for the next prompt. out[i][k] is reply k to requests[i]; what one of them cannot have is its own
  /// Generation::error. Errors: out_of_memory.
  Result<std::vector<std::vector<Generation>>> generate(std::span<const GenerateRequest> requests);

  /// Empties the cache of earlier conversations.
  void forget();
  Session& session();

 private:
  struct Impl;
  explicit Generator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moe::inline MOE_ABI

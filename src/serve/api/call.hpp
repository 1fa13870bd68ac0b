#pragma once
// A completion request: from its jobs to its answer, whole or streamed.

#include <memory>
#include <string>
#include <vector>

#include "serve/api/context.hpp"
#include "serve/api/logprobs.hpp"
#include "serve/api/reply_fields.hpp"

namespace moe::inline MOE_ABI::serve::api {

/// One prompt: as token ids, and as echoed text.
struct PromptPart {
  std::vector<TokenId> ids = {};
  std::string echo = {};
  std::vector<std::string_view> shown = {};  ///< of each token, its bytes in `echo`; views into the tokenizer
};

struct CallPlan {
  std::vector<PromptPart> prompts = {};
  ReplySettings settings = {};
  bool is_chat = false;
  bool echo = false;
  std::optional<std::int64_t> logprobs = {};  ///< number of top tokens for each position
  std::size_t best_of = 0;                    ///< replies to generate, of which the best n are returned; 0: n
  std::string model = {};
  std::string ignored = {};  ///< names of unknown fields
  std::string owner = {};
};

/// Lists of log-probabilities must fit into --buffer-memory: those of a whole answer, of a stream those of the prompts.
/// Replies without a limit are checked when they have ended. Errors: 400.
Checked<void> check_lists(const CallPlan& plan, const Context& context);

/// Submits the jobs; the answer goes to the responder, now or later.
void start_call(const Context& context, CallPlan plan, http::Responder responder, std::shared_ptr<Notes> notes);

}  // namespace moe::inline MOE_ABI::serve::api

#pragma once
// Fields that affect replies, for completions and chats.

#include "serve/api/context.hpp"

namespace moe::inline MOE_ABI::serve::api {

struct ReplySettings {
  GenerateOptions options = {};  ///< except max_tokens
  std::optional<std::int64_t> max_tokens = {};
  std::int64_t min_tokens = 0;
  std::optional<std::int64_t> truncate_prompt = {};  ///< -1: as many as fit the context
  std::size_t n = 1;
  bool stream = false, include_usage = false, continuous_usage = false;
  bool include_stop = false;  ///< the stop text belongs to the reply
  bool include_work = false;
  bool shows_seed = false;
};

/// `max_tokens`: the default limit.
Checked<ReplySettings> read_reply_settings(const Fields& fields, const Context& context,
                                           std::optional<std::int64_t> max_tokens);

/// A list of token ids inside the vocabulary.
Checked<std::vector<TokenId>> read_ids(JsonValue list, std::string_view name, const Tokenizer& tokenizer);

/// Truncates the prompt from the left if requested, then checks that it fits with its reply: the reply's last token is
/// never run, so prompt + max_tokens - 1 tokens must fit. Errors: 400 context_length_exceeded.
Checked<void> fit_prompt(std::vector<TokenId>& ids, const ReplySettings& settings, std::int64_t context_tokens);

}  // namespace moe::inline MOE_ABI::serve::api

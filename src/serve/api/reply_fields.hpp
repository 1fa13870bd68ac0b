#pragma once
// The fields that decide about replies, of texts and of conversations.

#include "serve/api/context.hpp"

namespace moe::inline MOE_ABI::serve::api {

struct ReplySettings {
  GenerateOptions options = {};  ///< but for max_tokens
  std::optional<std::int64_t> max_tokens = {};
  std::int64_t min_tokens = 0;
  std::optional<std::int64_t> truncate_prompt = {};  ///< -1: to what the context holds
  std::size_t n = 1;
  bool stream = false, include_usage = false, continuous_usage = false;
  bool include_stop = false;  ///< the stop text belongs to the reply
  bool include_work = false;
  bool shows_seed = false;
};

/// `max_tokens`: where the request sets no limit.
Checked<ReplySettings> read_reply_settings(const Fields& fields, const Context& context,
                                           std::optional<std::int64_t> max_tokens);

/// A list of token ids inside the vocabulary.
Checked<std::vector<TokenId>> read_ids(JsonValue list, std::string_view name, const Tokenizer& tokenizer);

/// Cuts the prompt from the left where that is asked for, then checks that it fits with its reply: the reply's last token
/// is never run, so prompt + max_tokens - 1 are what must. Errors: 400 context_length_exceeded.
Checked<void> fit_prompt(std::vector<TokenId>& ids, const ReplySettings& settings, std::int64_t context_tokens);

}  // namespace moe::inline MOE_ABI::serve::api

#pragma once
// The endpoints. Those that read a body run on the intake thread.

#include "moe/chat.hpp"
#include "serve/api/call.hpp"

namespace moe::inline MOE_ABI::serve::api {

struct Arrival {
  const Context& context;
  http::Request request;
  http::Responder responder;
  std::shared_ptr<Notes> notes;
};

// Each answers, or starts work that will; an error becomes the answer.
Checked<void> completions(Arrival& arrival);
Checked<void> chat_completions(Arrival& arrival);
Checked<void> apply_template(Arrival& arrival);
Checked<void> count_input_tokens(Arrival& arrival);
Checked<void> tokenize(Arrival& arrival);
Checked<void> detokenize(Arrival& arrival);

std::string tokenizer_info_json(const Context& context);
std::string version_json(const Context& context);
std::string models_json(const Context& context);
/// `id` is one of the names.
std::string model_json(const Context& context, std::string_view id);
/// Errors: 404 with the names there are.
Checked<void> check_model_name(const ServerOptions& options, std::string_view id);

/// The page at "/".
std::string_view page();

/// The ids of a request's text. `add`: BOS and the like, if the tokenizer adds them and the text does not begin with
/// BOS.
Checked<std::vector<TokenId>> encode_text(const Context& context, std::string_view text, bool add,
                                          SpecialText special = SpecialText::parse);

/// The conversation of a request: messages and template options.
Checked<Chat> read_chat(const Fields& fields, JsonValue messages, const Context& context);

/// Its text and ids. Control tokens spelled out in messages are plain text unless the server's options say otherwise.
Checked<RenderedChat> encode_conversation(const Context& context, const Chat& chat);

}  // namespace moe::inline MOE_ABI::serve::api

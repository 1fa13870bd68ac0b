#pragma once
// From a conversation to the text and the token ids that an instruct model was trained on.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"
#include "moe/model.hpp"
#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI {

/// One turn: ChatMessage{.role = "user", .content = "Hello"}. Templates know system, user, assistant, tool.
struct ChatMessage {
  std::string role = {}, content = {};
  /// The whole message as a JSON object, instead of role and content: with tool calls, parts, reasoning, ...
  std::string json = {};
};

/// How the text ends.
enum class ChatEnd {
  reply,      ///< with the beginning of a reply, so that the model writes one (add_generation_prompt)
  message,    ///< after the last message
  unfinished  ///< inside the last message, which the model continues (continue_final_message)
};

constexpr std::string_view name_of(ChatEnd value) noexcept {
  switch (value) {
    case ChatEnd::reply: return "reply";
    case ChatEnd::message: return "message";
    case ChatEnd::unfinished: return "unfinished";
  }
  return "";
}

struct ChatOptions {
  /// Name of one of the model's templates. Empty: "tool_use" where there are tools and such a template, else "default".
  std::string template_name = {};
  std::string template_text = {};  ///< a template in Jinja instead of the model's own
  std::string tools = {};          ///< JSON: a list of function schemas
  std::string documents = {};      ///< JSON: a list of objects
  /// JSON: an object with more variables for the template, such as {"enable_thinking": false}; they override all
  /// others.
  std::string variables = {};
  ChatEnd end = ChatEnd::reply;
  /// The time that the template sees: "2026-11-27" or "2026-11-27T14:05:00". Empty: now, in local time.
  std::string date = {};
};

struct Chat {
  std::vector<ChatMessage> messages = {};
  ChatOptions options = {};
};

struct RenderedChat {
  std::string text = {};
  std::vector<TokenId> ids = {};  ///< BOS and the like are there only if the template writes them
};

/// Messages of a JSON list of objects, or of an object that holds one as "messages"; each has a role. Errors:
/// bad_argument.
MOE_API Result<std::vector<ChatMessage>> parse_chat_messages(std::string_view json);

/// The text alone, as transformers' apply_chat_template(tokenize=False); needs no tokenizer.
/// Errors: not_found when the model has no template or none of that name; unsupported when the template uses something
/// that libmoe lacks; bad_file when it cannot be compiled; bad_argument when it refuses this conversation or an option
/// is wrong.
MOE_API Result<std::string> render_chat(const Model& model, const Chat& chat);

/// Text and ids, as apply_chat_template(tokenize=True) gives them with one difference: a control token spelled out in a
/// message, a tool or a document is encoded as plain text. Only the template itself writes control tokens.
/// Errors: as render_chat; unsupported without a usable tokenizer.
MOE_API Result<RenderedChat> encode_chat(const Model& model, const Chat& chat);

}  // namespace moe::inline MOE_ABI

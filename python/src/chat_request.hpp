#pragma once
// A conversation from Python: structured data is passed as JSON.

#include <string>

#include "errors.hpp"
#include "moe/chat.hpp"

namespace moe_python {

struct ChatRequest {
  std::string messages, tools, documents, variables;
  std::string template_name, template_text, date;
  std::string end = "reply";  ///< name_of(ChatEnd)
};

/// Errors: those of parse_chat_messages.
inline moe::Chat chat_of(const ChatRequest& request) {
  moe::Chat chat;
  chat.messages = unwrap(moe::parse_chat_messages(request.messages));
  chat.options.template_name = request.template_name;
  chat.options.template_text = request.template_text;
  chat.options.tools = request.tools;
  chat.options.documents = request.documents;
  chat.options.variables = request.variables;
  chat.options.end =
      enum_of("end", request.end, {moe::ChatEnd::reply, moe::ChatEnd::message, moe::ChatEnd::unfinished});
  chat.options.date = request.date;
  return chat;
}

}  // namespace moe_python

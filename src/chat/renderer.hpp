#pragma once
// One template of a model with all its variables except messages: selected, compiled and filled in as in transformers'
// apply_chat_template.

#include <span>
#include <string>

#include "chat/template.hpp"
#include "moe/chat.hpp"

namespace moe::inline MOE_ABI::chat {

/// Messages as templates see them: keys without a value are left out, reasoning is there under each of its names.
/// Errors: bad_argument naming the message.
Result<Value> conversation_of(std::span<const ChatMessage> messages);

class Renderer {
 public:
  /// Errors: as render_chat() in moe/chat.hpp, except those caused by messages.
  static Result<Renderer> create(const ChatTemplates& templates, const ChatOptions& options);

  /// Faults: as ChatTemplate::render(); python (ValueError) for an empty conversation, and if the last message is to be
  /// continued but is not in the text.
  tl::expected<Rendered, Fault> render(const Value& conversation, ChatEnd end) const;

  const std::string& name() const { return name_; }  ///< for messages
  const std::string& source() const { return source_; }

 private:
  Renderer(std::string name, std::string source, ChatTemplate compiled)
      : name_(std::move(name)), source_(std::move(source)), template_(std::move(compiled)) {}

  std::string name_, source_;
  ChatTemplate template_;
  Variables variables_;
  DateTime now_;
};

}  // namespace moe::inline MOE_ABI::chat

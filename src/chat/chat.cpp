// moe/chat.hpp: from a conversation to text and token ids.

#include "moe/chat.hpp"

#include "chat/encode.hpp"
#include "chat/renderer.hpp"
#include "support/json.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI {
namespace {

Result<chat::Rendered> rendered(const Model& model, const Chat& chat) {
  const auto renderer = chat::Renderer::create(model.chat_templates(), chat.options);
  if (!renderer) return forward(renderer);
  const auto conversation = chat::conversation_of(chat.messages);
  if (!conversation) return forward(conversation);
  auto out = renderer->render(*conversation, chat.options.end);
  if (!out) return tl::unexpected<Error>(chat::as_error(out.error(), in_quotes(renderer->name())));
  return std::move(*out);
}

}  // namespace

Result<std::vector<ChatMessage>> parse_chat_messages(std::string_view json) {
  const auto document = JsonDocument::parse(json);
  if (!document) return fail(ErrorCode::bad_argument, "the text with the messages " + document.error().message);
  JsonValue list = document->root();
  if (const auto inner = list.find("messages")) list = *inner;
  if (!list.is_array())
    return fail(ErrorCode::bad_argument, std::string("the messages are a JSON ") + list.type_name() +
                                             ", expected a list, or an object with a list called messages");
  std::vector<ChatMessage> out;
  for (const JsonValue message : list) {
    if (!message.is_object())
      return fail(ErrorCode::bad_argument, "message " + std::to_string(out.size() + 1) + " is a JSON " +
                                               message.type_name() + ", expected an object");
    if (const auto role = message.find("role"); !role || !role->is_string())
      return fail(ErrorCode::bad_argument, "message " + std::to_string(out.size() + 1) + " has " +
                                               (role ? std::string("a ") + role->type_name() + " as role" : "no role") +
                                               ", expected a text");
    ChatMessage& added = out.emplace_back();
    added.json = message.in_ascii();
  }
  return out;
}

Result<std::string> render_chat(const Model& model, const Chat& chat) {
  auto out = rendered(model, chat);
  if (!out) return forward(out);
  return std::move(out->text);
}

Result<RenderedChat> encode_chat(const Model& model, const Chat& chat) {
  if (!model.tokenizer())
    return fail(ErrorCode::unsupported, "the model has no usable tokenizer: " + model.tokenizer_error());
  auto out = rendered(model, chat);
  if (!out) return forward(out);
  auto ids = chat::encode_marked(*model.tokenizer(), out->text, out->content);
  if (!ids) return forward(ids);
  return RenderedChat{std::move(out->text), std::move(*ids)};
}

}  // namespace moe::inline MOE_ABI

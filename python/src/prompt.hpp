#pragma once
// A prompt: a text, token ids, or a conversation.

#include <string>

#include "bindings.hpp"
#include "chat_request.hpp"
#include "ids.hpp"
#include "moe/generate.hpp"

namespace moe_python {

inline moe::Prompt prompt_of(nb::handle object) {
  if (nb::isinstance<nb::str>(object)) return bytes_of(nb::borrow<nb::str>(object));
  if (nb::isinstance<ChatRequest>(object)) return chat_of(nb::cast<const ChatRequest&>(object));
  return ids_of(object);
}

}  // namespace moe_python

#pragma once
// What a model's files say about conversations; moe/chat.hpp puts it to use.

#include <map>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Read as transformers reads it. Of a directory: chat_template.jinja and additional_chat_templates/NAME.jinja, else
/// tokenizer_config.json (a text, or a list of names and texts), else chat_template.json. Of a GGUF file:
/// tokenizer.chat_template, and tokenizer.chat_template.NAME for every name in tokenizer.chat_templates.
struct ChatTemplates {
  std::map<std::string, std::string> texts = {};  ///< by name, as they stand in the files; "default" is the usual one
  bool are_named = false;                         ///< the files give names; else "default" is all there is
  std::map<std::string, std::string> special_tokens = {};  ///< variables that every template sees: "bos_token" -> "<s>"
  std::string error = {};                                  ///< why one that is there could not be read
};

}  // namespace moe::inline MOE_ABI

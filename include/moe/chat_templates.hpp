#pragma once
// Chat templates as a model's files hold them; moe/chat.hpp applies them.

#include <map>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Read as transformers reads them. From a directory: chat_template.jinja and additional_chat_templates/NAME.jinja,
/// else tokenizer_config.json (a text, or a list of names and texts), else chat_template.json. From a GGUF file:
/// tokenizer.chat_template, and tokenizer.chat_template.NAME for every name in tokenizer.chat_templates.
struct ChatTemplates {
  std::map<std::string, std::string> texts = {};           ///< by name, unchanged; "default" is the usual one
  bool are_named = false;                                  ///< the files name them; otherwise there is only "default"
  std::map<std::string, std::string> special_tokens = {};  ///< variables that every template sees: "bos_token" -> "<s>"
  std::string error = {};                                  ///< why an existing template could not be read
};

}  // namespace moe::inline MOE_ABI

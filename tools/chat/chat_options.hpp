#pragma once
// Options of programs that use a model's chat template.

#include <string>

#include "moe/chat.hpp"
#include "tools/common/program.hpp"

namespace cli {

struct ChatArguments {
  bool chat = false;         ///< a conversation with standard input
  bool show_prompt = false;  ///< the prompt instead of a reply
  std::string messages;      ///< file of messages
  std::string system;        ///< system message
  std::string chat_template, chat_template_args, chat_date;
};

/// `arguments` must live until the command line is parsed.
void add_chat_options(CLI::App& app, ChatArguments& arguments);

/// --chat-template as use_chat_template() reads it. Errors: those of reading a file.
moe::Result<moe::ChatOptions> chat_options(const ChatArguments& arguments);

/// The messages of a JSON file, "-" for standard input. Errors: of reading, naming file and place.
moe::Result<std::vector<moe::ChatMessage>> read_messages(const std::string& path);

}  // namespace cli

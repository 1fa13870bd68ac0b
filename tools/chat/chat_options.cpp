#include "tools/chat/chat_options.hpp"

#include "support/show.hpp"
#include "support/text_file.hpp"
#include "tools/common/chat_template.hpp"

namespace cli {
namespace {

constexpr std::uint64_t kMostMessageBytes = 16u << 20;

}  // namespace

void add_chat_options(CLI::App& app, ChatArguments& arguments) {
  app.add_flag("--chat", arguments.chat, "a conversation: a message per line of standard input, /help for commands");
  add_path(app, "--messages", arguments.messages,
           "JSON file with a list of {\"role\", \"content\"} to reply to; - for standard input")
      ->type_name("FILE");
  app.add_option("--system", arguments.system, "system message of a conversation")->type_name("TEXT");
  add_path(app, "--chat-template", arguments.chat_template,
           "a template: a file that ends in .jinja or has a / in its path, or the NAME of one of the model's")
      ->type_name("FILE|NAME");
  app.add_option("--chat-template-args", arguments.chat_template_args,
                 "JSON object with further variables of the template, {\"enable_thinking\": false}")
      ->type_name("JSON");
  app.add_option("--chat-date", arguments.chat_date, "the date that a template sees, 2026-11-28 (now)")
      ->type_name("DATE");
  app.add_flag("--show-prompt", arguments.show_prompt,
               "print the prompt as the model would read it, and no reply; its token ids go to stderr");
}

moe::Result<moe::ChatOptions> chat_options(const ChatArguments& arguments) {
  moe::ChatOptions options;
  options.variables = arguments.chat_template_args;
  options.date = arguments.chat_date;
  if (arguments.chat_template.empty()) return options;
  if (auto ok = use_chat_template(arguments.chat_template, options); !ok) return moe::forward(ok);
  return options;
}

moe::Result<std::vector<moe::ChatMessage>> read_messages(const std::string& path) {
  auto text =
      moe::read_text(path, {.bytes = kMostMessageBytes, .streams = moe::Streams::allowed, .cancelled = interrupted});
  if (!text) return moe::forward(text);
  auto messages = moe::parse_chat_messages(*text);
  if (!messages) return moe::fail(messages.error().code, moe::printable(path) + ": " + messages.error().message);
  return messages;
}

}  // namespace cli

#pragma once
// The user's input in a chat: a message, or a command that begins with a slash.

#include <span>
#include <string>
#include <string_view>

namespace cli {

enum class CommandKind { message, help, system, retry, save, clear, quit, unknown };

struct Command {
  CommandKind kind = CommandKind::message;
  std::string text;  ///< the message; the command's argument; the unknown command's name
};

/// "/save chat.json" -> {save, "chat.json"}; "//etc" is the message "/etc".
Command parse_command(std::string_view line);

struct CommandHelp {
  std::string_view usage, meaning;
};
std::span<const CommandHelp> command_help();

}  // namespace cli

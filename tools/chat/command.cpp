#include "tools/chat/command.hpp"

#include <array>

namespace cli {
namespace {

struct Known {
  std::string_view name;
  CommandKind kind;
};
constexpr std::array<Known, 7> kKnown{{{"help", CommandKind::help},
                                       {"system", CommandKind::system},
                                       {"retry", CommandKind::retry},
                                       {"save", CommandKind::save},
                                       {"clear", CommandKind::clear},
                                       {"quit", CommandKind::quit},
                                       {"exit", CommandKind::quit}}};

constexpr std::array<CommandHelp, 8> kHelp{{
    {"/help", "this list"},
    {"/system TEXT", "restart with this system message; without TEXT, with none"},
    {"/retry", "write the last reply again, with the next seed"},
    {"/save FILE", "write the conversation as JSON, which --messages reads"},
    {"/clear", "restart, keeping the system message"},
    {"/quit", "leave; so does Ctrl-D"},
    {"//TEXT", "a message that begins with a slash"},
    {"TEXT\\", "the message continues in the next line"},
}};

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

Command parse_command(std::string_view line) {
  if (line.empty() || line[0] != '/') return {CommandKind::message, std::string(line)};
  if (line.starts_with("//")) return {CommandKind::message, std::string(line.substr(1))};
  const std::size_t end = line.find_first_of(" \t\n");
  const std::string_view name = line.substr(1, end == std::string_view::npos ? end : end - 1);
  for (const Known& known : kKnown)
    if (name == known.name)
      return {known.kind, std::string(end == std::string_view::npos ? std::string_view() : trimmed(line.substr(end)))};
  return {CommandKind::unknown, std::string(name)};
}

std::span<const CommandHelp> command_help() { return kHelp; }

}  // namespace cli

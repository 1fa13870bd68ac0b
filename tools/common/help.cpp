#include "tools/common/help.hpp"

#include <algorithm>
#include <memory>

namespace cli {
namespace {

constexpr std::size_t kWideEnough = 70;                // columns for names and descriptions side by side
constexpr std::size_t kNames = 30, kNarrowIndent = 6;  // where descriptions begin

std::string filled_line(std::string_view line, std::size_t columns, std::size_t indent) {
  const std::string margin(indent, ' ');
  std::string out, current;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    if (!current.empty() && indent + current.size() + 1 + word.size() > columns) {
      out += margin + current + "\n";
      current.clear();
    }
    current += (current.empty() ? "" : " ") + std::string(word);
  }
  return out + (current.empty() ? "" : margin) + current + "\n";
}

}  // namespace

std::string filled(std::string_view text, std::size_t columns, std::size_t indent) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    out += line.starts_with(' ') ? std::string(line) + "\n" : filled_line(line, columns, indent);
  }
  return out;
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  return filled(CLI::Formatter::make_usage(app, std::move(name)), columns_);
}

std::string HelpFormatter::make_description(const CLI::App* app) const {
  return filled(CLI::Formatter::make_description(app), columns_);
}

std::string HelpFormatter::make_footer(const CLI::App* app) const {
  return filled(CLI::Formatter::make_footer(app), columns_);
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  return entry(make_option_name(option, is_positional) + make_option_opts(option), make_option_desc(option));
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  return entry(command->get_name(), command->get_description());
}

std::string HelpFormatter::entry(const std::string& name, const std::string& description) const {
  const std::size_t indent = columns_ < kWideEnough ? kNarrowIndent : kNames;
  std::string head = filled(name, columns_, 2);
  if (description.empty()) return head;
  const std::string body = filled(description, columns_, indent);
  head.pop_back();
  // At least one space between them, and names stay on one line.
  if (head.size() >= indent || head.find('\n') != std::string::npos) return head + "\n" + body;
  return head + body.substr(head.size());
}

void set_help(CLI::App& app, std::size_t columns) {
  app.formatter(std::make_shared<HelpFormatter>(columns));
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) set_help(*command, columns);
}

}  // namespace cli

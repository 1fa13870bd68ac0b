#pragma once
// --help, wrapped to the terminal's width.

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

namespace cli {

/// `text` in lines of at most `columns`, indented by `indent` spaces; longer words get their own line. Line breaks in
/// the text are kept. A line that begins with a space is an example and is not changed, so that it can be copied.
std::string filled(std::string_view text, std::size_t columns, std::size_t indent = 0);

/// CLI11's layout: names on the left, descriptions on the right or, on a narrow terminal, below.
class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(std::size_t columns) : columns_(columns) {}
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_description(const CLI::App* app) const override;
  std::string make_footer(const CLI::App* app) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_subcommand(const CLI::App* command) const override;

 private:
  std::string entry(const std::string& name, const std::string& description) const;

  std::size_t columns_;
};

/// Of the program and all its subcommands.
void set_help(CLI::App& app, std::size_t columns);

}  // namespace cli

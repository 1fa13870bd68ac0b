#pragma once
// Options with numbers. All are read by moe::parse_number, because CLI11 would accept 0x10, 010 or nan.

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "support/number.hpp"

namespace cli {

/// The text as a number; throws CLI11's usage error for anything else.
template <class T>
T number_of(std::string_view item, std::string_view text, const moe::Bounds<T>& allowed) {
  auto number = moe::parse_number(item, text, allowed);
  if (!number) throw CLI::ValidationError(number.error().message, CLI::ExitCodes::ValidationError);
  return *number;
}

/// "16,128,512"; an empty text holds no number.
template <class T>
std::vector<T> numbers_of(std::string_view option, std::string_view text, const moe::Bounds<T>& allowed) {
  std::vector<T> numbers;
  const std::string item = "a value of " + std::string(option);
  for (std::size_t at = 0; !text.empty() && at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    numbers.push_back(number_of(item, text.substr(at, end - at), allowed));
    at = end + 1;
  }
  return numbers;
}

/// An option with one number. `into` is a T or a std::optional<T>.
template <class Value, class T>
CLI::Option* add_number(CLI::App& app, const std::string& name, Value& into, const moe::Bounds<T>& allowed,
                        const std::string& help) {
  const auto read = [&into, name, allowed](const std::string& text) { into = number_of(name, text, allowed); };
  return app.add_option_function<std::string>(name, read, help)->type_name("N");
}

/// An option with a list of numbers, "16,128".
template <class T>
CLI::Option* add_numbers(CLI::App& app, const std::string& name, std::vector<T>& into, const moe::Bounds<T>& allowed,
                         const std::string& help) {
  const auto read = [&into, name, allowed](const std::string& text) { into = numbers_of(name, text, allowed); };
  return app.add_option_function<std::string>(name, read, help)->type_name("N,N,...");
}

}  // namespace cli

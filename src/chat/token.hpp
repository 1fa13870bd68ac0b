#pragma once
// The template's text in words and signs.

#include <string>
#include <string_view>
#include <vector>

#include "chat/fault.hpp"
#include "chat/limits.hpp"

namespace moe::inline MOE_ABI::chat {

enum class TokenKind : std::uint8_t {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  text,
  integer,
  real,
  sign,
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  int line = 1;
  std::string text;  ///< a string's meaning, a name, a sign, template data
  std::int64_t integer = 0;
  double real = 0;
};

/// The tokens of a template, with `end` as the last one. White space control, raw blocks and comments are done.
tl::expected<std::vector<Token>, Fault> tokenize(std::string_view source, const Limits& limits);

}  // namespace moe::inline MOE_ABI::chat

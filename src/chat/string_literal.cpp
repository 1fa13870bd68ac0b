#include "chat/string_literal.hpp"

#include <fmt/format.h>

#include <optional>

#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

int digit_of(char c, int base) {
  int value = -1;
  if (c >= '0' && c <= '9')
    value = c - '0';
  else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
    value = (c | 0x20) - 'a' + 10;
  return value < base ? value : -1;
}

// Up to `most` digits; fewer than `least` are an error.
std::optional<char32_t> read_code(std::string_view text, std::size_t& at, int base, int least, int most) {
  char32_t code = 0;
  int count = 0;
  for (; count < most && at < text.size() && digit_of(text[at], base) >= 0; ++count, ++at)
    code = code * static_cast<char32_t>(base) + static_cast<char32_t>(digit_of(text[at], base));
  return count < least ? std::nullopt : std::optional(code);
}

char simple_escape(char c) {
  switch (c) {
    case 'a': return '\a';
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'v': return '\v';
    case '\\':
    case '\'':
    case '"': return c;
    default: return '\0';
  }
}

}  // namespace

tl::expected<std::string, std::string> read_string_literal(std::string_view inside) {
  std::string out;
  for (std::size_t at = 0; at < inside.size();) {
    if (inside[at] != '\\') {
      out.push_back(inside[at++]);
      continue;
    }
    if (at + 1 == inside.size()) return tl::unexpected<std::string>("\\ at end of string");
    const char c = inside[at + 1];
    at += 2;
    std::optional<char32_t> code;
    if (c == '\n') continue;
    if (const char simple = simple_escape(c)) {
      out.push_back(simple);
      continue;
    }
    if (c >= '0' && c <= '7')
      code = read_code(inside, --at, 8, 1, 3);
    else if (c == 'x')
      code = read_code(inside, at, 16, 2, 2);
    else if (c == 'u')
      code = read_code(inside, at, 16, 4, 4);
    else if (c == 'U')
      code = read_code(inside, at, 16, 8, 8);
    else if (c == 'N')
      return tl::unexpected<std::string>("characters by name (\\N) are not known here");
    else if (static_cast<unsigned char>(c) >= 0x80) {
      // jinja2 first replaces the character by an escape, whose backslash is then escaped by this one.
      const auto decoded = decode_utf8(inside.data() + at - 1);
      const auto value = static_cast<std::uint32_t>(decoded.value);
      out += value < 0x100 ? fmt::format("\\x{:02x}", value)
                           : (value < 0x10000 ? fmt::format("\\u{:04x}", value) : fmt::format("\\U{:08x}", value));
      at += decoded.bytes - 1;
      continue;
    } else {
      out.push_back('\\');
      out.push_back(c);
      continue;
    }
    if (!code) return tl::unexpected(fmt::format("truncated \\{} escape", c));
    if (*code > 0x10ffff) return tl::unexpected<std::string>("illegal Unicode character");
    if (*code >= 0xd800 && *code < 0xe000) return tl::unexpected<std::string>("half of a surrogate pair");
    append_utf8(out, *code);
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::chat

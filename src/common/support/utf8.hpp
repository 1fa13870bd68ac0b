#pragma once
// UTF-8: characters of valid text, and what to do with bytes that are none.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

struct Decoded {
  char32_t value = 0;
  std::uint32_t bytes = 0;
};

/// The code point at `p`. The text must be valid UTF-8.
inline Decoded decode_utf8(const char* p) {
  const auto* u = reinterpret_cast<const unsigned char*>(p);
  if (u[0] < 0x80) return {u[0], 1};
  if (u[0] < 0xe0) return {(u[0] & 0x1fu) << 6 | (u[1] & 0x3fu), 2};
  if (u[0] < 0xf0) return {(u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu), 3};
  return {(u[0] & 0x07u) << 18 | (u[1] & 0x3fu) << 12 | (u[2] & 0x3fu) << 6 | (u[3] & 0x3fu), 4};
}

/// Of a character's bytes, all but the first.
constexpr bool is_continuation_byte(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

/// Where the character that ends at byte `end` begins; `end` is above 0.
inline std::size_t previous_character(std::string_view text, std::size_t end) {
  std::size_t i = end - 1;
  while (i > 0 && is_continuation_byte(text[i])) --i;
  return i;
}

void append_utf8(std::string& text, char32_t code_point);

/// Length of the valid UTF-8 prefix: text.size() when all of it is valid.
std::size_t valid_utf8_prefix(std::string_view text);
inline bool is_valid_utf8(std::string_view text) { return valid_utf8_prefix(text) == text.size(); }

/// Every maximal ill-formed part becomes one U+FFFD, as Python's bytes.decode(errors="replace") does.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace moe::inline MOE_ABI

#pragma once
// Classes and case of characters as Python's str methods see them.

#include <string_view>

#include "chat/run.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::chat {

bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_lower(char32_t c);
bool is_upper(char32_t c);
bool is_title(char32_t c);
bool is_printable(char32_t c);
/// \w of Python's re module, and what a name of a template is made of.
bool is_word(char32_t c);
inline bool is_cased(char32_t c) { return is_lower(c) || is_upper(c) || is_title(c); }
inline bool is_alnum(char32_t c) { return is_alpha(c) || is_decimal(c) || is_digit(c) || is_numeric(c); }
/// 0..9 for a decimal digit of any script, else -1.
int digit_value(char32_t c);

enum class CaseOf { upper, lower, title, fold, same };
/// One character in another case, up to three characters long. `lower` leaves the final sigma to its caller.
void append_case(std::string& out, char32_t c, CaseOf to);

/// str.upper(), lower(), title(), capitalize(), swapcase(), casefold().
Value upper(Run& run, const Text& text);
Value lower(Run& run, const Text& text);
Value title(Run& run, const Text& text);
Value capitalize(Run& run, const Text& text);
Value swapcase(Run& run, const Text& text);
Value casefold(Run& run, const Text& text);

/// Calls f(code point, first byte, bytes) for every character.
template <class F>
void each_character(std::string_view bytes, F f) {
  for (std::size_t at = 0; at < bytes.size();) {
    const auto decoded = decode_utf8(bytes.data() + at);
    f(decoded.value, at, decoded.bytes);
    at += decoded.bytes;
  }
}

/// Bytes of white space at the start, and where white space at the end begins.
std::size_t leading_space(std::string_view bytes);
std::size_t trailing_space(std::string_view bytes);
/// The code point that ends at byte `end` > 0.
char32_t character_before(std::string_view bytes, std::size_t end, std::size_t* start);

}  // namespace moe::inline MOE_ABI::chat

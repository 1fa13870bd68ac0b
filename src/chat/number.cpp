#include "chat/number.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <system_error>

#include "chat/characters.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

// Longer texts are not numbers; Python's own limit for integers is 4,300 digits.
constexpr std::size_t kLongestNumber = 4'300;

// Digits of every script become ASCII, other characters beyond ASCII end the attempt.
std::optional<std::string> ascii_number(std::string_view text) {
  const std::size_t first = leading_space(text);
  if (first == text.size()) return std::nullopt;
  text = text.substr(first, trailing_space(text) - first);
  if (text.size() > kLongestNumber) return std::nullopt;
  std::string out;
  bool fine = true;
  each_character(text, [&](char32_t c, std::size_t, std::size_t) {
    if (c >= 0x80 && !is_decimal(c)) fine = false;
    out.push_back(c < 0x80 ? static_cast<char>(c) : static_cast<char>('0' + (fine ? digit_value(c) : 0)));
  });
  return fine ? std::optional(out) : std::nullopt;
}

// Underscores are allowed only between two digits; `out` gets the text without them.
bool drop_underscores(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out.push_back(text[i]);
      continue;
    }
    const auto digit = [&](std::size_t at) {
      return at < text.size() && std::isxdigit(static_cast<unsigned char>(text[at])) != 0;
    };
    if (i == 0 || !digit(i - 1) || !digit(i + 1)) return false;
  }
  return true;
}

int base_of_prefix(char letter) {
  switch (letter | 0x20) {
    case 'b': return 2;
    case 'o': return 8;
    case 'x': return 16;
    default: return 0;
  }
}

}  // namespace

std::optional<std::int64_t> read_int(std::string_view text, int base, bool* too_big) {
  *too_big = false;
  const auto ascii = ascii_number(text);
  if (!ascii) return std::nullopt;
  std::string_view rest = *ascii;
  const bool negative = rest[0] == '-';
  if (rest[0] == '-' || rest[0] == '+') rest.remove_prefix(1);
  bool prefixed = false;
  if (rest.size() > 2 && rest[0] == '0') {
    const int named = base_of_prefix(rest[1]);
    if (named != 0 && (base == 0 || base == named)) {
      base = named;
      rest.remove_prefix(2);
      prefixed = true;
      if (rest[0] == '_') rest.remove_prefix(1);
    }
  }
  std::string digits;
  if (rest.empty() || !drop_underscores(rest, digits)) return std::nullopt;
  if (base == 0) {
    // "012" is no number in base 0; zeros alone are.
    if (!prefixed && digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of('0') != std::string::npos)
      return std::nullopt;
    base = 10;
  }
  if (negative) digits.insert(digits.begin(), '-');
  if (digits[0] == '+' || (negative && digits.size() > 1 && digits[1] == '-')) return std::nullopt;
  std::int64_t value = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (read.ptr != digits.data() + digits.size()) return std::nullopt;
  if (read.ec == std::errc::result_out_of_range) {
    *too_big = true;
    return std::nullopt;
  }
  return read.ec == std::errc{} ? std::optional(value) : std::nullopt;
}

std::optional<double> read_float(std::string_view text) {
  const auto ascii = ascii_number(text);
  std::string digits;
  if (!ascii || !drop_underscores(*ascii, digits) || digits.empty()) return std::nullopt;
  std::string_view rest = digits;
  const bool negative = rest[0] == '-';
  if (rest[0] == '-' || rest[0] == '+') rest.remove_prefix(1);
  if (rest.empty() || rest[0] == '-' || rest[0] == '+') return std::nullopt;
  const auto letter = [&](std::size_t i) { return i < rest.size() ? rest[i] | 0x20 : 0; };
  // from_chars knows "nan(...)", which Python does not.
  if (letter(0) == 'n' && rest.size() != 3) return std::nullopt;
  double value = 0;
  const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (read.ptr != rest.data() + rest.size()) return std::nullopt;
  if (read.ec == std::errc::result_out_of_range) {
    // Too large or too small: strtod says which. The texts above are its syntax too.
    value = std::strtod(std::string(rest).c_str(), nullptr);
  } else if (read.ec != std::errc{}) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

double round_to(double value, std::int64_t digits) {
  if (!std::isfinite(value) || value == 0 || digits > 323) return value;
  if (digits < -308) return std::copysign(0.0, value);
  if (digits >= 0) {
    char text[800];
    const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, static_cast<int>(digits));
    double out = value;
    std::from_chars(text, end.ptr, out);
    return out;
  }
  // Left of the point: the exact value as a decimal number, rounded by its digits.
  char text[400];
  const auto end = std::to_chars(text, text + sizeof text, std::abs(value), std::chars_format::fixed, 0);
  std::string whole(text, end.ptr);
  const auto cut = static_cast<std::size_t>(-digits);
  if (whole.size() < cut) return std::copysign(0.0, value);
  // Scientific notation with as many digits as stay rounds the exact value, half to even.
  const int kept = static_cast<int>(whole.size() - cut);
  if (kept == 0) {
    const double half = 5 * std::pow(10.0, static_cast<double>(cut - 1));
    return std::copysign(std::abs(value) > half ? 2 * half : 0.0, value);
  }
  const auto stop = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific, kept - 1);
  double out = value;
  std::from_chars(text, stop.ptr, out);
  return out;
}

}  // namespace moe::inline MOE_ABI::chat

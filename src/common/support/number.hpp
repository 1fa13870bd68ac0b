#pragma once
// Numbers from command lines and the environment: the whole text must be a number in range.

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// The allowed range, both ends included. A double whose `most` is the largest one has no upper bound.
template <class T>
struct Bounds {
  T least, most;
  bool above_least = false;  ///< `least` itself is not allowed
};

/// "a whole number from 1 to 1024", "a number above 0 and at most 1".
template <class T>
std::string bounds_text(const Bounds<T>& allowed) {
  if constexpr (std::is_integral_v<T>) return fmt::format("a whole number from {} to {}", allowed.least, allowed.most);
  std::string text = fmt::format("a number {} {}", allowed.above_least ? "above" : "of at least", allowed.least);
  if (allowed.most < std::numeric_limits<T>::max()) text += fmt::format(" and at most {}", allowed.most);
  return text;
}

/// Reads a number in C's own notation whatever the locale: digits, for floating point also a fraction and an exponent.
/// No spaces, no '+', no hexadecimal, no unit, no NaN or infinity; no '-' where nothing below zero is allowed.
/// Errors: bad_argument, "ITEM is 'TEXT', expected ...".
template <class T>
Result<T> parse_number(std::string_view item, std::string_view text, const Bounds<T>& allowed) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  bool legal = error == std::errc{} && stop == end;
  if constexpr (std::is_floating_point_v<T>) legal = legal && std::isfinite(value);
  if (legal && text.front() == '-' && allowed.least >= T{0}) legal = false;
  if (legal && value >= allowed.least && value <= allowed.most && !(allowed.above_least && value == allowed.least))
    return value;
  constexpr std::size_t kShown = 40;  // the message stays one line
  return fail(ErrorCode::bad_argument, fmt::format("{} is '{}{}', expected {}", item, text.substr(0, kShown),
                                                   text.size() > kShown ? "..." : "", bounds_text(allowed)));
}

}  // namespace moe::inline MOE_ABI

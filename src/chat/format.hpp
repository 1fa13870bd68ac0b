#pragma once
// Python's two ways to format: "..." % values and "...".format(values).

#include "chat/run.hpp"

namespace moe::inline MOE_ABI::chat {

/// format % values: a tuple gives several values, a dict answers %(name)s.
Value percent_format(Run& run, const Text& format, const Value& values);

Value brace_format_method(Run& run, const Value& self, const Args& args);
Value brace_format_map_method(Run& run, const Value& self, const Args& args);

/// What both print numbers with.
struct NumberFormat {
  char type = 0;    ///< d x X o b e E f F g G n % or 0
  char sign = '-';  ///< '-', '+' or ' '
  bool alternate = false;
  int precision = -1;
  char grouping = 0;  ///< ',' or '_'
};
/// Digits with sign and prefix: the sign first, then "0x" and its like.
struct Digits {
  std::string sign, prefix, digits;
};
std::optional<Digits> format_integer(Run& run, std::int64_t value, const NumberFormat& format);
std::optional<Digits> format_real(Run& run, double value, const NumberFormat& format);
/// A width or precision beyond this is refused.
inline constexpr int kWidestField = 1'000'000;

}  // namespace moe::inline MOE_ABI::chat

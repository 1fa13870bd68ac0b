#pragma once
// Numbers as Python reads and rounds them (repr() of a float: support/python_float.hpp).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::chat {

/// int(text, base): white space around, a sign, underscores between digits, digits of any script, a prefix that fits
/// the base (any of them for base 0). `too_big` distinguishes a number beyond 64 bits from other text.
std::optional<std::int64_t> read_int(std::string_view text, int base, bool* too_big);

/// float(text). The text must not be longer than a few KiB to be a number.
std::optional<double> read_float(std::string_view text);

/// round(value, digits) of Python: exact decimal rounding, half to even.
double round_to(double value, std::int64_t digits);

}  // namespace moe::inline MOE_ABI::chat

#pragma once
// The time for strftime_now. The library does not read the clock: the caller passes the time, so that a prompt does not
// change at midnight.

#include <optional>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::chat {

struct DateTime {
  int year = 1970, month = 1, day = 1;  ///< month and day from 1
  int hour = 0, minute = 0, second = 0, microsecond = 0;
};

/// "2026-11-27" or "2026-11-27T14:05:00". Errors: bad_argument.
Result<DateTime> parse_time(std::string_view text);

/// datetime.strftime() in the C locale, with glibc's flags (%-d). Directives that glibc does not know stay as they are.
std::string format_time(std::string_view format, const DateTime& time);

}  // namespace moe::inline MOE_ABI::chat

#include "chat/datetime.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "support/show.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

constexpr std::string_view kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};

bool is_leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

// Days before the month, from 0.
int day_of_year(const DateTime& t) {
  static constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  return kBefore[t.month - 1] + (t.month > 2 && is_leap(t.year) ? 1 : 0) + t.day - 1;
}

// Sunday is 0. Counts days from 1 January of year 1, a Monday.
int day_of_week(const DateTime& t) {
  const long long years = t.year - 1;
  return static_cast<int>((years * 365 + years / 4 - years / 100 + years / 400 + day_of_year(t) + 1) % 7);
}

// The ISO week and its year.
void iso_week(const DateTime& t, int& year, int& week) {
  const int monday_based = (day_of_week(t) + 6) % 7;
  week = (day_of_year(t) - monday_based + 10) / 7;
  year = t.year;
  const auto weeks_in = [](int y) {
    const int first = (day_of_week({y, 1, 1}) + 6) % 7;
    return first == 3 || (first == 2 && is_leap(y)) ? 53 : 52;
  };
  if (week < 1)
    week = weeks_in(--year);
  else if (week > weeks_in(year)) {
    week = 1;
    ++year;
  }
}

/// A number and how glibc pads it unless a flag says otherwise.
struct Padded {
  int value;
  int width;
  char pad;
};

std::optional<Padded> number_of(char directive, const DateTime& t) {
  const int weekday = day_of_week(t), monday_based = (weekday + 6) % 7, yday = day_of_year(t);
  const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  int iso_year = 0, week = 0;
  iso_week(t, iso_year, week);
  switch (directive) {
    case 'C': return Padded{t.year / 100, 2, '0'};
    case 'd': return Padded{t.day, 2, '0'};
    case 'e': return Padded{t.day, 2, ' '};
    case 'g': return Padded{iso_year % 100, 2, '0'};
    case 'G': return Padded{iso_year, 1, '0'};
    case 'H': return Padded{t.hour, 2, '0'};
    case 'I': return Padded{hour12, 2, '0'};
    case 'j': return Padded{yday + 1, 3, '0'};
    case 'k': return Padded{t.hour, 2, ' '};
    case 'l': return Padded{hour12, 2, ' '};
    case 'm': return Padded{t.month, 2, '0'};
    case 'M': return Padded{t.minute, 2, '0'};
    case 'S': return Padded{t.second, 2, '0'};
    case 'u': return Padded{weekday == 0 ? 7 : weekday, 1, '0'};
    case 'U': return Padded{(yday + 7 - weekday) / 7, 2, '0'};
    case 'V': return Padded{week, 2, '0'};
    case 'w': return Padded{weekday, 1, '0'};
    case 'W': return Padded{(yday + 7 - monday_based) / 7, 2, '0'};
    case 'y': return Padded{t.year % 100, 2, '0'};
    case 'Y': return Padded{t.year, 1, '0'};
    default: return std::nullopt;
  }
}

// Names and combinations. Python turns %f, %z and %Z into text before libc sees them; the last two are empty for a
// time without a zone.
std::optional<std::string> text_of(char directive, const DateTime& t) {
  switch (directive) {
    case 'a': return std::string(kDays[day_of_week(t)].substr(0, 3));
    case 'A': return std::string(kDays[day_of_week(t)]);
    case 'b':
    case 'h': return std::string(kMonths[t.month - 1].substr(0, 3));
    case 'B': return std::string(kMonths[t.month - 1]);
    case 'c': return format_time("%a %b %e %H:%M:%S %Y", t);
    case 'D':
    case 'x': return format_time("%m/%d/%y", t);
    case 'f': return fmt::format("{:06}", t.microsecond);
    case 'F': return format_time("%Y-%m-%d", t);
    case 'n': return "\n";
    case 'p': return t.hour < 12 ? "AM" : "PM";
    case 'P': return t.hour < 12 ? "am" : "pm";
    case 'r': return format_time("%I:%M:%S %p", t);
    case 'R': return format_time("%H:%M", t);
    case 't': return "\t";
    case 'T':
    case 'X': return format_time("%H:%M:%S", t);
    case 'z':
    case 'Z': return "";
    case '%': return "%";
    default: return std::nullopt;
  }
}

// `count` digits at `at`, a number from `least` to `most`.
bool read_digits(std::string_view text, std::size_t at, std::size_t count, int least, int most, int& out) {
  if (at + count > text.size()) return false;
  const char* end = text.data() + at + count;
  const auto read = std::from_chars(text.data() + at, end, out);
  return read.ec == std::errc{} && read.ptr == end && out >= least && out <= most;
}

int days_in(int year, int month) {
  if (month == 2) return is_leap(year) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

}  // namespace

Result<DateTime> parse_time(std::string_view text) {
  DateTime t;
  const auto sign = [&](std::size_t at, char c) { return at < text.size() && text[at] == c; };
  const bool has_date = read_digits(text, 0, 4, 1, 9999, t.year) && sign(4, '-') &&
                        read_digits(text, 5, 2, 1, 12, t.month) && sign(7, '-') &&
                        read_digits(text, 8, 2, 1, days_in(t.year, t.month), t.day);
  const bool has_time = has_date && (text.size() == 10 || (text.size() == 19 && sign(10, 'T') && sign(13, ':') &&
                                                           sign(16, ':') && read_digits(text, 11, 2, 0, 23, t.hour) &&
                                                           read_digits(text, 14, 2, 0, 59, t.minute) &&
                                                           read_digits(text, 17, 2, 0, 59, t.second)));
  if (has_time) return t;
  return fail(ErrorCode::bad_argument,
              fmt::format("date {}: expected YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS", in_quotes(text)));
}

std::string format_time(std::string_view format, const DateTime& moment) {
  DateTime time = moment;
  time.month = std::clamp(time.month, 1, 12);  // an index below
  std::string out;
  for (std::size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%' || at + 1 == format.size()) {
      out.push_back(format[at]);
      continue;
    }
    const std::size_t begin = at++;
    char pad = 0;
    bool upper = false, swap = false;
    for (; at < format.size() && std::string_view("-_0^#").find(format[at]) != std::string_view::npos; ++at) {
      if (format[at] == '^')
        upper = true;
      else if (format[at] == '#')
        swap = true;
      else
        pad = format[at];
    }
    const char directive = at < format.size() ? format[at] : '\0';
    if (const auto number = number_of(directive, time)) {
      std::string digits = fmt::format("{}", number->value);
      const char fill = pad == 0 ? number->pad : (pad == '_' ? ' ' : '0');
      if (pad != '-' && static_cast<int>(digits.size()) < number->width)
        digits.insert(0, static_cast<std::size_t>(number->width) - digits.size(), fill);
      out += digits;
    } else if (auto text = text_of(directive, time)) {
      // '#' makes AM small and everything else large.
      const bool lower = swap && (directive == 'p');
      for (char& c : *text) {
        if (lower)
          c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        else if (upper || swap)
          c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      }
      out += *text;
    } else {
      out += format.substr(begin, at + 1 - begin);
    }
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::chat

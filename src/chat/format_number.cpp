#include <charconv>
#include <cmath>

#include "chat/format.hpp"
#include "chat/number.hpp"
#include "support/python_float.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

std::string to_chars_text(double value, std::chars_format form, int precision) {
  // 309 digits before the point, a sign and an exponent.
  std::string out(static_cast<std::size_t>(precision) + 330, '\0');
  const auto end = std::to_chars(out.data(), out.data() + out.size(), value, form, precision);
  out.resize(static_cast<std::size_t>(end.ptr - out.data()));
  return out;
}

int exponent_of(const std::string& scientific) { return std::atoi(scientific.c_str() + scientific.find('e') + 1); }

void drop_zeros(std::string& digits) {
  const std::size_t e = std::min(digits.find('e'), digits.size());
  if (digits.find('.') >= e) return;
  std::size_t end = e;
  while (digits[end - 1] == '0') --end;
  if (digits[end - 1] == '.') --end;
  digits.erase(end, e - end);
}

// %g: so many significant digits; with `point_zero` at least one digit after the point, as in repr().
std::string general(double value, int precision, bool alternate, bool point_zero) {
  precision = std::max(precision, 1);
  std::string scientific = to_chars_text(value, std::chars_format::scientific, precision - 1);
  const int exponent = exponent_of(scientific);
  if (exponent < -4 || exponent >= precision - (point_zero ? 1 : 0)) {
    if (!alternate) drop_zeros(scientific);
    return scientific;
  }
  std::string fixed = to_chars_text(value, std::chars_format::fixed, std::max(precision - 1 - exponent, 0));
  if (!alternate) drop_zeros(fixed);
  if (point_zero && fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

std::string real_digits(double value, const NumberFormat& format) {
  const int precision = format.precision < 0 ? 6 : format.precision;
  std::string out;
  switch (format.type | 0x20) {
    case 'e': out = to_chars_text(value, std::chars_format::scientific, precision); break;
    case 'f': out = to_chars_text(value, std::chars_format::fixed, precision); break;
    case '%' | 0x20: out = to_chars_text(value * 100, std::chars_format::fixed, precision); break;
    case 'g':
    case 'n': out = general(value, precision, format.alternate, false); break;
    default: out = format.precision < 0 ? python_float(value) : general(value, precision, false, true);
  }
  if (format.alternate && out.find('.') == std::string::npos) {
    const std::size_t e = std::min(out.find('e'), out.size());
    out.insert(e, ".");
  }
  return out;
}

}  // namespace

std::optional<Digits> format_integer(Run& run, std::int64_t value, const NumberFormat& format) {
  Digits out;
  int base = 10;
  if (format.type == 'x' || format.type == 'X') base = 16;
  if (format.type == 'o') base = 8;
  if (format.type == 'b') base = 2;
  char digits[72];
  const std::uint64_t magnitude = value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  out.digits.assign(digits, std::to_chars(digits, digits + sizeof digits, magnitude, base).ptr);
  if (format.precision > kWidestField) {
    run.text_fits(run.limits.text_bytes + 1);
    return std::nullopt;
  }
  if (format.precision > static_cast<int>(out.digits.size()))
    out.digits.insert(0, static_cast<std::size_t>(format.precision) - out.digits.size(), '0');
  if (format.alternate && base != 10) out.prefix = std::string("0") + static_cast<char>(format.type | 0x20);
  if (format.type == 'X') {
    for (char& c : out.digits) c = static_cast<char>(std::toupper(c));
    if (!out.prefix.empty()) out.prefix[1] = 'X';
  }
  if (value < 0)
    out.sign = "-";
  else if (format.sign != '-')
    out.sign = format.sign;
  return out;
}

std::optional<Digits> format_real(Run& run, double value, const NumberFormat& format) {
  if (format.precision > kWidestField) {
    run.text_fits(run.limits.text_bytes + 1);
    return std::nullopt;
  }
  if (format.precision > 0) run.look(static_cast<std::size_t>(format.precision));
  Digits out;
  if (std::signbit(value) && !std::isnan(value))
    out.sign = "-";
  else if (format.sign != '-')
    out.sign = format.sign;
  const double magnitude = std::abs(value);
  out.digits = std::isfinite(magnitude) ? real_digits(magnitude, format) : (std::isnan(value) ? "nan" : "inf");
  if (format.type == '%') out.digits += '%';
  if (format.type == 'E' || format.type == 'F' || format.type == 'G')
    for (char& c : out.digits) c = static_cast<char>(std::toupper(c));
  return out;
}

}  // namespace moe::inline MOE_ABI::chat

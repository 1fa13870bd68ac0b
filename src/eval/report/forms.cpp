#include "eval/report/forms.hpp"

#include <fmt/format.h>

#include <cmath>

#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr const char* kMinusSign = "\xE2\x88\x92";

// A comma between each three digits in front of the point.
std::string grouped(std::string digits) {
  std::size_t end = digits.find('.');
  if (end == std::string::npos) end = digits.size();
  const std::size_t begin = digits.starts_with('-') ? 1 : 0;
  for (std::size_t at = end; at > begin + 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string with_minus(std::string text) {
  if (text.starts_with('-')) text.replace(0, 1, kMinusSign);
  return text;
}

}  // namespace

std::string percent_form(double share) { return with_minus(fmt::format("{:.2f}", 100 * share)); }

std::string percent_form(const std::optional<double>& share) { return share ? percent_form(*share) : "N/A"; }

std::string points_form(double share) { return with_minus(fmt::format("{:+.2f}", 100 * share)); }

std::string significant_form(double value) {
  if (value == 0) return "0";
  const double magnitude = std::floor(std::log10(std::abs(value)));
  if (magnitude < -5 || magnitude > 14) return with_minus(fmt::format("{:.3e}", value));
  const int digits = std::max(0, 3 - static_cast<int>(magnitude));
  return with_minus(grouped(fmt::format("{:.{}f}", value, digits)));
}

std::string gflops_form(double flops) { return significant_form(flops / 1e9); }

std::string scaled_form(double x) {
  static constexpr const char* kUnits[] = {"", "k", "M", "G", "T", "P"};
  std::size_t unit = 0;
  for (; std::abs(x) >= 999.5 && unit + 1 < std::size(kUnits); ++unit) x /= 1000;
  const int digits = unit == 0 && x == std::floor(x) ? 0 : std::abs(x) >= 99.95 ? 0 : std::abs(x) >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", x, digits, kUnits[unit]);
}

std::string count_form(std::int64_t value) { return with_minus(grouped(std::to_string(value))); }

std::string p_form(double p) {
  if (!(p > 0 && p < 1e-4)) return fmt::format("{:.4f}", p);
  std::string text = fmt::format("{:.0e}", p);
  return text.replace(text.find('-'), 1, kMinusSign);  // a line does not break at it
}

std::string ends_form(const std::optional<double>& low, const std::optional<double>& high) {
  const auto form = [](double end) { return fmt::format("{:.3g}", end); };
  if (low && high) return form(*low) + " to " + form(*high);
  return low ? form(*low) + " or more" : high ? form(*high) + " or less" : "-";
}

std::string exact_form(double value) { return fmt::format("{}", value); }

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  return out;
}

std::string markdown_escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else if (std::string_view("\\`*_[]>|~#!$").find(c) != std::string_view::npos)
      out += fmt::format("\\{}", c);
    else
      out += c;
  }
  return out;
}

std::string csv_escaped(std::string_view text) {
  std::string out = printable(text);
  if (!out.empty() && std::string_view("=+-@").find(out.front()) != std::string_view::npos) out.insert(0, 1, '\'');
  if (out.find_first_of(",\"") == std::string::npos) return out;
  std::string quoted = "\"";
  for (const char c : out) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace moe::inline MOE_ABI::eval

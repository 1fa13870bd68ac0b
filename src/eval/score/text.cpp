#include "eval/score/text.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>

namespace moe::inline MOE_ABI::eval {
namespace {

// str.isspace(): category Zs, or bidirectional class WS, B or S.
bool is_space(utf8proc_int32_t code_point) {
  const utf8proc_property_t* p = utf8proc_get_property(code_point);
  return p->category == UTF8PROC_CATEGORY_ZS || p->bidi_class == UTF8PROC_BIDI_CLASS_WS ||
         p->bidi_class == UTF8PROC_BIDI_CLASS_B || p->bidi_class == UTF8PROC_BIDI_CLASS_S;
}

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Bytes of the white space that starts the text; 0 when there is none.
std::size_t leading_space(std::string_view text) {
  utf8proc_int32_t code_point = -1;
  const utf8proc_ssize_t n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                              static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  return n > 0 && is_space(code_point) ? static_cast<std::size_t>(n) : 0;
}

std::string mapped(std::string_view text, utf8proc_int32_t (*map)(utf8proc_int32_t)) {
  std::string out;
  while (!text.empty()) {
    utf8proc_int32_t code_point = -1;
    const utf8proc_ssize_t n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                                static_cast<utf8proc_ssize_t>(text.size()), &code_point);
    utf8proc_uint8_t encoded[4];
    if (n > 0)
      out.append(reinterpret_cast<const char*>(encoded),
                 static_cast<std::size_t>(utf8proc_encode_char(map(code_point), encoded)));
    else
      out += text[0];
    text.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : 1);
  }
  return out;
}

}  // namespace

std::size_t rstrip_length(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t start = end - 1;
    while (start > 0 && end - start < 4 && is_continuation(text[start])) --start;
    if (leading_space(text.substr(start, end - start)) != end - start) break;
    end = start;
  }
  return end;
}

namespace {

std::string_view lstrip(std::string_view text) {
  while (!text.empty()) {
    const std::size_t n = leading_space(text);
    if (n == 0) break;
    text.remove_prefix(n);
  }
  return text;
}

}  // namespace

std::string_view strip(std::string_view text) { return lstrip(text.substr(0, rstrip_length(text))); }

std::string_view after_thinking(std::string_view reply, std::string_view think_end) {
  if (think_end.empty()) return reply;
  const std::size_t at = reply.rfind(think_end);
  return lstrip(at == std::string_view::npos ? reply : reply.substr(at + think_end.size()));
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    utf8proc_int32_t code_point = -1;
    const utf8proc_ssize_t n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                                static_cast<utf8proc_ssize_t>(text.size()), &code_point);
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool wants_delimiter(std::string_view before, std::string_view after) {
  return !before.empty() && !after.empty() && rstrip_length(before) == before.size() && leading_space(after) == 0;
}

std::string delimited(std::string_view before, std::string_view after, std::string_view delimiter) {
  std::string out(before);
  if (wants_delimiter(before, after)) out += delimiter;
  return out.append(after);
}

std::int32_t code_points(std::string_view text) {
  std::int32_t count = 0;
  for (char c : text) count += !is_continuation(c);
  return count;
}

std::int64_t words(std::string_view text) {
  std::int64_t count = 1;
  for (bool in_space = false; !text.empty();) {
    const std::size_t space = leading_space(text);
    count += space > 0 && !in_space;
    in_space = space > 0;
    text.remove_prefix(std::max<std::size_t>(space, 1));
  }
  return count;
}

std::string lowercase(std::string_view text) { return mapped(text, utf8proc_tolower); }
std::string uppercase(std::string_view text) { return mapped(text, utf8proc_toupper); }

std::string python_float(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  std::string digits = fmt::format("{}", x);
  if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
  return digits;
}

}  // namespace moe::inline MOE_ABI::eval

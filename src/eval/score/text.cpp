#include "eval/score/text.hpp"

#include <utf8proc.h>

#include <algorithm>

#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

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

std::string_view lstrip(std::string_view text) {
  while (!text.empty()) {
    const std::size_t n = leading_white_space(text);
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

bool wants_delimiter(std::string_view before, std::string_view after) {
  return !before.empty() && !after.empty() && rstrip_length(before) == before.size() && leading_white_space(after) == 0;
}

std::string delimited(std::string_view before, std::string_view after, std::string_view delimiter) {
  std::string out(before);
  if (wants_delimiter(before, after)) out += delimiter;
  return out.append(after);
}

std::int32_t code_points(std::string_view text) {
  std::int32_t count = 0;
  for (char c : text) count += !is_continuation_byte(c);
  return count;
}

std::int64_t words(std::string_view text) {
  std::int64_t count = 1;
  for (bool in_space = false; !text.empty();) {
    const std::size_t space = leading_white_space(text);
    count += space > 0 && !in_space;
    in_space = space > 0;
    text.remove_prefix(std::max<std::size_t>(space, 1));
  }
  return count;
}

std::string lowercase(std::string_view text) { return mapped(text, utf8proc_tolower); }
std::string uppercase(std::string_view text) { return mapped(text, utf8proc_toupper); }

}  // namespace moe::inline MOE_ABI::eval

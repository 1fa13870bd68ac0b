#include "support/white_space.hpp"

#include <utf8proc.h>

#include "support/utf8.hpp"

namespace moe::inline MOE_ABI {
namespace {

// str.isspace(): category Zs, or bidirectional class WS, B or S.
bool is_space(utf8proc_int32_t code_point) {
  const utf8proc_property_t* p = utf8proc_get_property(code_point);
  return p->category == UTF8PROC_CATEGORY_ZS || p->bidi_class == UTF8PROC_BIDI_CLASS_WS ||
         p->bidi_class == UTF8PROC_BIDI_CLASS_B || p->bidi_class == UTF8PROC_BIDI_CLASS_S;
}

}  // namespace

std::size_t leading_white_space(std::string_view text) {
  utf8proc_int32_t code_point = -1;
  const utf8proc_ssize_t n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                              static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  return n > 0 && is_space(code_point) ? static_cast<std::size_t>(n) : 0;
}

std::size_t rstrip_length(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t start = end - 1;
    while (start > 0 && end - start < 4 && is_continuation_byte(text[start])) --start;
    if (leading_white_space(text.substr(start, end - start)) != end - start) break;
    end = start;
  }
  return end;
}

}  // namespace moe::inline MOE_ABI

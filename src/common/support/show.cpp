#include "support/show.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "support/fnv1a.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI {

namespace {

// One character, or one invalid byte.
struct Character {
  std::size_t bytes = 1;
  utf8proc_int32_t code_point = -1;  // -1: invalid UTF-8
};

Character first_of(std::string_view text) {
  Character c;
  const utf8proc_ssize_t n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                              static_cast<utf8proc_ssize_t>(text.size()), &c.code_point);
  if (n <= 0) return {};
  c.bytes = static_cast<std::size_t>(n);
  return c;
}

// Whether the character is printable without other effects on a terminal.
bool is_shown(utf8proc_int32_t code_point) {
  if (code_point < 0) return false;
  if (code_point >= 0x200B && code_point <= 0x200D) return true;  // part of words and emoji
  const utf8proc_property_t* p = utf8proc_get_property(code_point);
  switch (p->category) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CS: return false;
    case UTF8PROC_CATEGORY_CF: return p->ignorable == 0;  // Arabic number signs are Cf and visible
    default: return true;
  }
}

std::string escaped(std::string_view bytes, utf8proc_int32_t code_point) {
  if (code_point >= 0x80)
    return code_point > 0xFFFF ? fmt::format("\\U{:08x}", code_point) : fmt::format("\\u{:04x}", code_point);
  return fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]));
}

// Calls piece(text) with each character's printable form. `kept` characters stay, `quoted` ones are escaped.
template <class Piece>
void for_each_shown(std::string_view text, std::string_view kept, std::string_view quoted, Piece&& piece) {
  while (!text.empty()) {
    const Character c = first_of(text);
    const std::string_view bytes = text.substr(0, c.bytes);
    const bool as_is = kept.find(text[0]) != std::string_view::npos ||
                       (is_shown(c.code_point) && quoted.find(text[0]) == std::string_view::npos);
    piece(as_is ? std::string(bytes) : escaped(bytes, c.code_point));
    text.remove_prefix(c.bytes);
  }
}

std::string shown(std::string_view text, std::string_view kept) {
  std::string out;
  for_each_shown(text, kept, {}, [&](const std::string& piece) { out += piece; });
  return out;
}

// Characters that file names must not have on Linux ('/'), on other systems, or for shells.
bool is_plain(std::string_view bytes, utf8proc_int32_t code_point) {
  constexpr std::string_view kReserved = "/\\:*?\"<>|";
  return is_shown(code_point) && kReserved.find(bytes[0]) == std::string_view::npos;
}

// At most so many bytes, without an incomplete character at the end.
std::string_view up_to(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && is_continuation_byte(text[bytes])) --bytes;
  return text.substr(0, bytes);
}

}  // namespace

std::string printable(std::string_view text) { return shown(text, {}); }
std::string printable_lines(std::string_view text) { return shown(text, "\n\t"); }

std::size_t display_width(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const Character c = first_of(text);
    columns += c.code_point < 0 ? 1 : static_cast<std::size_t>(std::max(utf8proc_charwidth(c.code_point), 0));
    text.remove_prefix(c.bytes);
  }
  return columns;
}

std::string shortened(std::string_view text, std::size_t columns) {
  // Cuts very long names before they are processed character by character.
  const std::size_t most_bytes = 32 * columns;
  if (text.size() > 2 * most_bytes)
    return shortened(fmt::format("{}...{}", up_to(text, most_bytes), text.substr(text.size() - most_bytes / 2)),
                     columns);
  std::vector<std::string> pieces;
  std::size_t total = 0;
  for_each_shown(text, {}, {}, [&](std::string piece) {
    total += display_width(piece);
    pieces.push_back(std::move(piece));
  });
  constexpr std::string_view kCut = "...";
  const bool fits = total <= columns;
  const std::size_t room = fits ? total : columns - kCut.size();
  const std::size_t head_room = fits ? room : room - room / 3;  // two thirds for the beginning, the rest for the end
  std::string head, tail;
  std::size_t first = 0, last = pieces.size(), used = 0;
  const auto take = [&](const std::string& piece, std::size_t most) {
    const std::size_t width = display_width(piece);
    if (used + width > most) return false;
    used += width;
    return true;
  };
  while (first < last && take(pieces[first], head_room)) head += pieces[first++];
  if (fits) return head;
  while (last > first && take(pieces[last - 1], room)) tail.insert(0, pieces[--last]);
  return head.append(kCut).append(tail);
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kMostColumns = 80, kMostBytes = 320;
  std::string out;
  std::size_t columns = 0;
  bool cut = text.size() > kMostBytes;
  for_each_shown(text.substr(0, kMostBytes), {}, "'", [&](const std::string& piece) {
    columns += display_width(piece);
    cut = cut || columns > kMostColumns;
    if (columns <= kMostColumns) out += piece;
  });
  return "'" + out + (cut ? "...'" : "'");
}

std::string file_name_of(std::string_view text) {
  constexpr std::size_t kMostBytes = 160, kHashBytes = 17;
  std::string name;
  for (std::string_view rest = text; !rest.empty();) {
    const Character c = first_of(rest);
    name += is_plain(rest.substr(0, c.bytes), c.code_point) ? rest.substr(0, c.bytes) : std::string_view("_");
    rest.remove_prefix(c.bytes);
  }
  const bool is_fit = !name.empty() && name.back() != '.' && name.back() != ' ' && name.size() <= kMostBytes;
  if (is_fit && name == text) return name;
  return fmt::format("{}-{:016x}", up_to(name.empty() ? "_" : name, kMostBytes - kHashBytes), fnv1a(text));
}

}  // namespace moe::inline MOE_ABI

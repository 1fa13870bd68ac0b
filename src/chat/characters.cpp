#include "chat/characters.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "chat/case_tables.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

template <std::size_t N>
bool in(const CodeRange (&ranges)[N], char32_t c) {
  const auto* found = std::partition_point(ranges, ranges + N, [c](const CodeRange& r) { return r.last < c; });
  return found != ranges + N && found->first <= c;
}

template <std::size_t N>
const LongCase* find(const LongCase (&table)[N], char32_t c) {
  const auto* found = std::partition_point(table, table + N, [c](const LongCase& row) { return row.from < c; });
  return found != table + N && found->from == c ? found : nullptr;
}

bool is_case_ignorable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return in(kOtherIgnorable, c);
  }
}

// A final capital sigma: a cased letter before it and none after it, ignorable characters aside.
bool is_final_sigma(std::string_view bytes, std::size_t at, std::size_t size) {
  bool before = false;
  for (std::size_t end = at; end > 0;) {
    std::size_t start = 0;
    const char32_t c = character_before(bytes, end, &start);
    end = start;
    if (is_case_ignorable(c)) continue;
    before = is_cased(c);
    break;
  }
  if (!before) return false;
  for (std::size_t next = at + size; next < bytes.size();) {
    const auto decoded = decode_utf8(bytes.data() + next);
    next += decoded.bytes;
    if (is_case_ignorable(decoded.value)) continue;
    return !is_cased(decoded.value);
  }
  return true;
}

constexpr char32_t kCapitalSigma = 0x3a3, kFinalSigma = 0x3c2;

// Maps every character to the case that `choose(code point, is first)` returns; marks are kept.
template <class Choose>
Value map_case(Run& run, const Text& text, Choose choose) {
  TextBuilder out(run);
  MarkReader from_content(text);
  std::string piece;
  const std::string_view bytes = text.bytes();
  // Counts steps, because the context of a sigma may be long.
  std::size_t sigmas = 0;
  each_character(bytes, [&](char32_t c, std::size_t at, std::size_t size) {
    if (!run.ok()) return;
    piece.clear();
    const CaseOf to = choose(c, at == 0);
    if (to == CaseOf::lower && c == kCapitalSigma) {
      if (++sigmas > 64 && !run.look(bytes.size())) return;
      append_utf8(piece, is_final_sigma(bytes, at, size) ? kFinalSigma : utf8proc_tolower(kCapitalSigma));
    } else {
      append_case(piece, c, to);
    }
    out.add(piece, from_content(at));
  });
  return out.finish(text.markup());
}

}  // namespace

bool is_space(char32_t c) {
  if (c < 0x80) return (c >= 0x9 && c <= 0xd) || (c >= 0x1c && c <= 0x20);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
         c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_alpha(char32_t c) {
  if (c < 0x80) return (c | 0x20u) >= 'a' && (c | 0x20u) <= 'z';
  const auto k = category(c);
  return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT ||
         k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return category(c) == UTF8PROC_CATEGORY_ND;
}
bool is_digit(char32_t c) { return is_decimal(c) || in(kOtherDigits, c); }
bool is_numeric(char32_t c) {
  if (is_decimal(c)) return true;
  const auto k = category(c);
  return k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO || in(kOtherNumerals, c);
}
bool is_lower(char32_t c) {
  if (c < 0x80) return c >= 'a' && c <= 'z';
  return category(c) == UTF8PROC_CATEGORY_LL || in(kOtherLower, c);
}
bool is_upper(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z';
  return category(c) == UTF8PROC_CATEGORY_LU || in(kOtherUpper, c);
}
bool is_title(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LT; }

bool is_printable(char32_t c) {
  if (c < 0x80) return c >= 0x20 && c < 0x7f;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
  }
}

bool is_word(char32_t c) { return c == '_' || is_alnum(c); }

int digit_value(char32_t c) {
  if (!is_decimal(c)) return -1;
  if (c < 0x80) return static_cast<int>(c - '0');
  // Digits come in runs of ten from zero to nine, and several runs may touch.
  char32_t first = c;
  while (category(first - 1) == UTF8PROC_CATEGORY_ND) --first;
  return static_cast<int>((c - first) % 10);
}

void append_case(std::string& out, char32_t c, CaseOf to) {
  if (c < 0x80) {
    if (is_lower(c) && (to == CaseOf::upper || to == CaseOf::title))
      c -= 0x20;
    else if (is_upper(c) && (to == CaseOf::lower || to == CaseOf::fold))
      c += 0x20;
    out.push_back(static_cast<char>(c));
    return;
  }
  if (to == CaseOf::same) return append_utf8(out, c);
  const auto code = static_cast<utf8proc_int32_t>(c);
  if (to == CaseOf::fold) {
    std::array<utf8proc_int32_t, 8> folded{};
    int last_class = 0;
    const auto count = utf8proc_decompose_char(code, folded.data(), folded.size(), UTF8PROC_CASEFOLD, &last_class);
    for (utf8proc_ssize_t i = 0; i < count && i < 8; ++i) append_utf8(out, static_cast<char32_t>(folded[i]));
    return;
  }
  if (to == CaseOf::lower) {
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(code)));
    if (c == 0x130) append_utf8(out, 0x307);  // the dot of a capital I with dot stays
    return;
  }
  if (const LongCase* row = to == CaseOf::upper ? find(kLongUpper, c) : find(kLongTitle, c)) {
    for (char32_t part : row->to)
      if (part != 0) append_utf8(out, part);
    return;
  }
  append_utf8(out, static_cast<char32_t>(to == CaseOf::upper ? utf8proc_toupper(code) : utf8proc_totitle(code)));
}

Value upper(Run& run, const Text& text) {
  return map_case(run, text, [](char32_t, bool) { return CaseOf::upper; });
}
Value lower(Run& run, const Text& text) {
  return map_case(run, text, [](char32_t, bool) { return CaseOf::lower; });
}
Value casefold(Run& run, const Text& text) {
  return map_case(run, text, [](char32_t, bool) { return CaseOf::fold; });
}
Value capitalize(Run& run, const Text& text) {
  return map_case(run, text, [](char32_t, bool first) { return first ? CaseOf::title : CaseOf::lower; });
}
Value title(Run& run, const Text& text) {
  bool inside = false;
  return map_case(run, text, [&inside](char32_t c, bool) {
    const CaseOf to = inside ? CaseOf::lower : CaseOf::title;
    inside = is_cased(c);
    return to;
  });
}
Value swapcase(Run& run, const Text& text) {
  return map_case(run, text, [](char32_t c, bool) {
    if (is_upper(c)) return CaseOf::lower;
    return is_lower(c) ? CaseOf::upper : CaseOf::same;
  });
}

char32_t character_before(std::string_view bytes, std::size_t end, std::size_t* start) {
  std::size_t at = end - 1;
  while (at > 0 && (static_cast<unsigned char>(bytes[at]) & 0xc0u) == 0x80u) --at;
  *start = at;
  return decode_utf8(bytes.data() + at).value;
}

std::size_t leading_space(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto decoded = decode_utf8(bytes.data() + at);
    if (!is_space(decoded.value)) break;
    at += decoded.bytes;
  }
  return at;
}

std::size_t trailing_space(std::string_view bytes) {
  std::size_t end = bytes.size();
  while (end > 0) {
    std::size_t start = 0;
    if (!is_space(character_before(bytes, end, &start))) break;
    end = start;
  }
  return end;
}

}  // namespace moe::inline MOE_ABI::chat

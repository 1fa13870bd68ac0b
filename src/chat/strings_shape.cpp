// Methods of str that change its case or width, or classify it; and the search over all tables.

#include <algorithm>

#include "chat/arguments.hpp"
#include "chat/characters.hpp"
#include "chat/format.hpp"
#include "chat/markup.hpp"
#include "chat/strings.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

template <Value (*Map)(Run&, const Text&)>
Value case_method(Run& run, const Value& self, const Args& args) {
  const Bound<0> a(run, args, "the method", {});
  return a ? Map(run, self.text()) : Value();
}

// True when there is a character and `test` holds for each.
template <bool (*Test)(char32_t)>
Value all_method(Run& run, const Value& self, const Args& args) {
  const Bound<0> a(run, args, "the method", {});
  if (!a) return {};
  bool all = !self.text().bytes().empty();
  run.look(self.text().bytes().size());
  each_character(self.text().bytes(), [&](char32_t c, std::size_t, std::size_t) { all = all && Test(c); });
  return all;
}

// True when there is a cased character and all of them are of the case.
template <bool (*Is)(char32_t)>
Value case_test(Run& run, const Value& self, const Args& args) {
  const Bound<0> a(run, args, "the method", {});
  if (!a) return {};
  bool some = false, all = true;
  run.look(self.text().bytes().size());
  each_character(self.text().bytes(), [&](char32_t c, std::size_t, std::size_t) {
    if (Is(c))
      some = true;
    else if (is_cased(c))
      all = false;
  });
  return some && all;
}

Value istitle(Run& run, const Value& self, const Args& args) {
  const Bound<0> a(run, args, "istitle", {});
  if (!a) return {};
  bool some = false, fits = true, inside = false;
  run.look(self.text().bytes().size());
  each_character(self.text().bytes(), [&](char32_t c, std::size_t, std::size_t) {
    const bool capital = is_upper(c) || is_title(c), small = is_lower(c);
    if ((capital && inside) || (small && !inside)) fits = false;
    inside = capital || small;
    some = some || inside;
  });
  return some && fits;
}

Value isascii(Run&, const Value& self, const Args&) { return self.text().ascii(); }
Value isprintable(Run& run, const Value& self, const Args&) {
  bool all = true;
  run.look(self.text().bytes().size());
  each_character(self.text().bytes(), [&](char32_t c, std::size_t, std::size_t) { all = all && is_printable(c); });
  return all;
}
Value isidentifier(Run& run, const Value& self, const Args&) {
  bool fits = !self.text().bytes().empty();
  run.look(self.text().bytes().size());
  each_character(self.text().bytes(), [&](char32_t c, std::size_t at, std::size_t) {
    fits = fits && (at == 0 ? is_alpha(c) || c == '_' : is_word(c));
  });
  return fits;
}

// The fill character of the methods that pad.
std::optional<Value> fill_of(Run& run, const Text& text, const Bound<2>& a) {
  Value fill = a.has(1) ? a[1] : Value(Text::make(" "));
  if (fill.is_text() && text.markup()) fill = escape(run, fill);
  if (run.ok() && fill.is_text() && fill.text().length() == 1) return fill;
  run.type_error("The fill character must be exactly one character long");
  return std::nullopt;
}

Value padded(Run& run, const Text& text, std::int64_t left, std::int64_t right, const Text& fill) {
  TextBuilder out(run);
  out.repeat(fill.bytes(), left);
  out.add(text);
  out.repeat(fill.bytes(), right);
  return out.finish(text.markup());
}

enum class Pad : std::uint8_t { left, right, around };
template <Pad Where>
Value pad_method(Run& run, const Value& self, const Args& args) {
  const Bound<2> a(run, args, "the method", {"width", "fillchar"}, 1, Naming::positional_only);
  if (!a) return {};
  const std::int64_t width = std::max<std::int64_t>(a.index(0, 0), 0);
  const auto fill = fill_of(run, self.text(), a);
  if (!fill || !run.ok()) return {};
  const Text& text = self.text();
  if (Where == Pad::around) return center(run, text, width, fill->text());
  const std::int64_t missing = std::max<std::int64_t>(width - text.length(), 0);
  return padded(run, text, Where == Pad::left ? missing : 0, Where == Pad::left ? 0 : missing, fill->text());
}

Value zfill(Run& run, const Value& self, const Args& args) {
  const Bound<1> a(run, args, "zfill", {"width"}, 1, Naming::positional_only);
  if (!a) return {};
  const Text& text = self.text();
  const std::int64_t missing = std::max<std::int64_t>(std::max<std::int64_t>(a.index(0, 0), 0) - text.length(), 0);
  const bool sign = !text.bytes().empty() && (text.bytes()[0] == '-' || text.bytes()[0] == '+');
  TextBuilder out(run);
  if (sign) out.add(text, 0, 1);
  out.repeat("0", missing);
  out.add(text, sign ? 1 : 0, text.bytes().size());
  return out.finish(text.markup());
}

Value expandtabs(Run& run, const Value& self, const Args& args) {
  const Bound<1> a(run, args, "expandtabs", {"tabsize"});
  if (!a) return {};
  const std::int64_t size = a.index(0, 8);
  const Text& text = self.text();
  TextBuilder out(run);
  std::int64_t column = 0;
  each_character(text.bytes(), [&](char32_t c, std::size_t at, std::size_t bytes) {
    if (!run.ok()) return;
    if (c != '\t') {
      out.add(text, at, at + bytes);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    } else if (size > 0) {
      out.repeat(" ", size - column % size);
      column += size - column % size;
    }
  });
  return out.finish(text.markup());
}

constexpr MethodRow kShapeMethods[] = {{"capitalize", case_method<capitalize>},
                                       {"casefold", case_method<casefold>},
                                       {"center", pad_method<Pad::around>},
                                       {"encode", nullptr},
                                       {"expandtabs", expandtabs},
                                       {"format", brace_format_method},
                                       {"format_map", brace_format_map_method},
                                       {"isalnum", all_method<is_alnum>},
                                       {"isalpha", all_method<is_alpha>},
                                       {"isascii", isascii},
                                       {"isdecimal", all_method<is_decimal>},
                                       {"isdigit", all_method<is_digit>},
                                       {"isidentifier", isidentifier},
                                       {"islower", case_test<is_lower>},
                                       {"isnumeric", all_method<is_numeric>},
                                       {"isprintable", isprintable},
                                       {"isspace", all_method<is_space>},
                                       {"istitle", istitle},
                                       {"isupper", case_test<is_upper>},
                                       {"ljust", pad_method<Pad::right>},
                                       {"lower", case_method<lower>},
                                       {"maketrans", nullptr},
                                       {"rjust", pad_method<Pad::left>},
                                       {"swapcase", case_method<swapcase>},
                                       {"title", case_method<title>},
                                       {"translate", nullptr},
                                       {"upper", case_method<upper>},
                                       {"zfill", zfill}};

}  // namespace

Value center(Run& run, const Text& text, std::int64_t width, const Text& fill) {
  const std::int64_t missing = std::max<std::int64_t>(width - text.length(), 0);
  // Python puts the odd space to the left when the width is odd.
  const std::int64_t left = missing / 2 + (missing & width & 1);
  return padded(run, text, left, missing - left, fill);
}

std::span<const MethodRow> str_shape_methods() { return kShapeMethods; }

const MethodRow* find_str_method(std::string_view name) {
  for (const auto rows : {str_search_methods(), str_split_methods(), str_shape_methods()})
    for (const MethodRow& row : rows)
      if (row.name == name) return &row;
  return nullptr;
}

}  // namespace moe::inline MOE_ABI::chat

// Filters over text: trim, replace, indent, truncate, title, format and the case filters.

#include "chat/arguments.hpp"
#include "chat/characters.hpp"
#include "chat/filters.hpp"
#include "chat/format.hpp"
#include "chat/strings.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

template <Value (*Map)(Run&, const Text&)>
Value case_filter(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "the filter", {});
  return a ? Map(run, *to_text(run, value)) : Value();
}

Value string_filter(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "soft_str", {});
  return a ? Value(to_text(run, value)) : Value();
}

Value trim(Run& run, const Value& value, const Args& args) {
  const Bound<1> a(run, args, "do_trim", {"chars"});
  return a ? strip(run, *to_text(run, value), a.value_or(0, Value()), Side::both) : Value();
}

// str(value), never marked as safe.
Value plain(Run& run, const Value& value) {
  TextBuilder out(run);
  add_str(run, out, value);
  return out.finish();
}

Value replace_filter(Run& run, const Value& value, const Args& args) {
  const Bound<3> a(run, args, "do_replace", {"old", "new", "count"}, 2);
  if (!a) return {};
  const std::int64_t count = a.value_or(2, Value()).is_none() ? -1 : a.index(2, -1);
  const Value text = plain(run, value);
  if (!run.ok()) return {};
  return replace(run, text.text(), *to_text(run, a[0]), *to_text(run, a[1]), count);
}

Value center_filter(Run& run, const Value& value, const Args& args) {
  const Bound<1> a(run, args, "do_center", {"width"});
  if (!a) return {};
  const std::int64_t width = std::max<std::int64_t>(a.index(0, 80), 0);
  return run.ok() ? center(run, *to_text(run, value), width, *Text::make(" ")) : Value();
}

bool splits_words(char32_t c) { return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c); }

// jinja2's own rule: a word begins after white space, hyphens and opening brackets, and only its first character
// becomes upper case. str.title() differs.
Value title_filter(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_title", {});
  if (!a) return {};
  const TextPtr text = to_text(run, value);
  const std::string_view bytes = text->bytes();
  TextBuilder out(run);
  std::string first;
  for (std::size_t at = 0; at < bytes.size() && run.ok();) {
    const auto head = decode_utf8(bytes.data() + at);
    std::size_t end = at + head.bytes;
    if (splits_words(head.value)) {
      out.add(*text, at, end);
      at = end;
      continue;
    }
    while (end < bytes.size() && !splits_words(decode_utf8(bytes.data() + end).value))
      end += decode_utf8(bytes.data() + end).bytes;
    first.clear();
    append_case(first, head.value, CaseOf::upper);
    MarkReader from_content(*text);
    out.add(first, from_content(at));
    const Value tail = part_of(run, *text, at + head.bytes, end);
    const Value small = run.ok() ? lower(run, tail.text()) : Value();
    if (run.ok()) out.add(small.text());
    at = end;
  }
  return out.finish();
}

Value indent(Run& run, const Value& value, const Args& args) {
  const Bound<3> a(run, args, "do_indent", {"width", "first", "blank"});
  if (!a) return {};
  if (value.is_undefined()) return run.use_of(value);
  if (!value.is_text()) return run.type_error("unsupported operand type(s) for +=: '{}' and 'str'", type_name(value));
  TextPtr step;
  if (a.has(0) && a[0].is_text()) {
    step = a[0].text_ptr();
  } else {
    TextBuilder spaces(run);
    spaces.repeat(" ", a.index(0, 4));
    const Value made = spaces.finish();
    if (!run.ok()) return {};
    step = made.text_ptr();
  }
  const bool first = a.truth(1), blank = a.truth(2);
  TextBuilder whole(run);
  whole.add(value.text());
  whole.add("\n");
  const Value ended = whole.finish();
  if (!run.ok()) return {};
  const std::vector<Value> lines = split_lines(run, ended.text(), false);
  TextBuilder out(run);
  if (first) out.add(*step);
  for (std::size_t i = 0; i < lines.size() && run.ok(); ++i) {
    if (i > 0) out.add("\n");
    if (i > 0 && (blank || !lines[i].text().bytes().empty())) out.add(*step);
    out.add(lines[i].text());
  }
  return out.finish(value.text().markup());
}

Value truncate(Run& run, const Value& value, const Args& args) {
  const Bound<4> a(run, args, "do_truncate", {"length", "killwords", "end", "leeway"});
  if (!a) return {};
  const std::int64_t length = a.index(0, 255);
  const std::int64_t leeway = a.value_or(3, Value()).is_none() ? 5 : a.index(3, 5);
  const TextPtr end = a.has(2) ? a.text(2) : Text::make("...");
  if (!run.ok()) return {};
  if (length < end->length() || leeway < 0)
    return run.fail(FaultKind::python, "AssertionError", fmt::format("expected length >= {}", end->length()));
  const std::int64_t size = length_of(value);
  if (size < 0) return run.type_error("object of type '{}' has no len()", type_name(value));
  if (size - leeway <= length) return value;
  if (!value.is_text()) return run.type_error("a {} cannot be truncated", type_name(value));
  const Text& text = value.text();
  run.look(text.bytes().size());
  std::size_t cut = text.byte_at(length - end->length());
  if (!a.truth(1)) {
    const std::size_t space = text.bytes().substr(0, cut).rfind(' ');
    if (space != std::string_view::npos) cut = space;
  }
  return arithmetic(run, Arithmetic::add, part_of(run, text, 0, cut), Value(end));
}

Value wordcount(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_wordcount", {});
  if (!a) return {};
  std::int64_t words = 0;
  bool inside = false;
  const TextPtr text = to_text(run, value);
  run.look(text->bytes().size());
  each_character(text->bytes(), [&](char32_t c, std::size_t, std::size_t) {
    const bool word = is_word(c);
    words += word && !inside ? 1 : 0;
    inside = word;
  });
  return words;
}

Value format_filter(Run& run, const Value& value, const Args& args) {
  if (!args.positional.empty() && !args.named.empty())
    return run.fail(FaultKind::refused, "FilterArgumentError",
                    "can't handle positional and keyword arguments at the same time");
  const TextPtr format = to_text(run, value);
  if (args.named.empty()) return percent_format(run, *format, run.tuple(args.positional));
  auto dict = std::make_shared<Dict>();
  for (const auto& [name, item] : args.named) dict->set(Value(Text::make(name)), item);
  return percent_format(run, *format, run.dict(std::move(dict)));
}

// pprint sorts the keys of dicts and breaks lines after 80 columns; what needs no break is its repr.
Value sorted_copy(Run& run, const Value& value) {
  if (!run.step()) return {};
  if (value.is(Kind::tuple) && value.as<List>().group) return value;  // has a repr of its own
  if (value.is_sequence()) {
    std::vector<Value> items;
    for (const Value& item : value.items()) items.push_back(sorted_copy(run, item));
    return value.is(Kind::list) ? run.list(std::move(items)) : run.tuple(std::move(items));
  }
  if (!value.is(Kind::dict)) return value;
  std::vector<Value> keys, values;
  for (const auto& [key, item] : value.as<Dict>().entries()) {
    if (!key.is_text()) return run.unsupported("pprint of a dict with a key that is no str");
    keys.push_back(key);
    values.push_back(run.tuple({key, sorted_copy(run, item)}));
  }
  if (run.ok()) sort_by(run, values, keys, false);
  auto sorted = std::make_shared<Dict>();
  for (const Value& pair : values)
    if (run.ok()) sorted->set(pair.items()[0], pair.items()[1]);
  return run.dict(std::move(sorted));
}

Value pprint(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_pprint", {});
  if (!a) return {};
  TextBuilder out(run);
  add_repr(run, out, sorted_copy(run, value));
  const Value made = out.finish();
  if (run.ok() && made.text().length() > 80) return run.unsupported("pprint of a value beyond 80 columns");
  return made;
}

constexpr MethodRow kTextFilters[] = {{"capitalize", case_filter<capitalize>},
                                      {"center", center_filter},
                                      {"format", format_filter},
                                      {"indent", indent},
                                      {"lower", case_filter<lower>},
                                      {"pprint", pprint},
                                      {"replace", replace_filter},
                                      {"string", string_filter},
                                      {"title", title_filter},
                                      {"trim", trim},
                                      {"truncate", truncate},
                                      {"upper", case_filter<upper>},
                                      {"wordcount", wordcount},
                                      {"wordwrap", wordwrap_filter}};

}  // namespace

std::span<const MethodRow> text_filters() { return kTextFilters; }

}  // namespace moe::inline MOE_ABI::chat

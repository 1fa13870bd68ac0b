#include "chat/repr.hpp"

#include "chat/characters.hpp"
#include "chat/loop.hpp"
#include "support/python_float.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

// Text in quotes: single ones unless only single ones occur in it.
void add_text_repr(TextBuilder& out, const Text& text) {
  const std::string_view bytes = text.bytes();
  const bool has_single = bytes.find('\'') != std::string_view::npos;
  const char quote = has_single && bytes.find('"') == std::string_view::npos ? '"' : '\'';
  MarkReader from_content(text);
  out.add(std::string_view(&quote, 1));
  each_character(bytes, [&](char32_t c, std::size_t at, std::size_t size) {
    const bool marked = from_content(at);
    if (c == static_cast<char32_t>(quote) || c == '\\') out.add("\\", marked);
    if (c == '\n') return out.add("\\n", marked);
    if (c == '\r') return out.add("\\r", marked);
    if (c == '\t') return out.add("\\t", marked);
    if (is_printable(c)) return out.add(bytes.substr(at, size), marked);
    const auto code = static_cast<std::uint32_t>(c);
    if (c < 0x100) return out.add(fmt::format("\\x{:02x}", code), marked);
    out.add(c < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code), marked);
  });
  out.add(std::string_view(&quote, 1));
}

void add_items(Run& run, TextBuilder& out, const std::vector<Value>& items) {
  for (std::size_t i = 0; i < items.size() && run.ok(); ++i) {
    if (i > 0) out.add(", ");
    add_repr(run, out, items[i]);
  }
}

void add_dict(Run& run, TextBuilder& out, const Dict& dict) {
  out.add("{");
  bool first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (!run.ok()) return;
    if (!first) out.add(", ");
    first = false;
    add_repr(run, out, key);
    out.add(": ");
    add_repr(run, out, value);
  }
  out.add("}");
}

void add_view(Run& run, TextBuilder& out, const View& view) {
  out.add(fmt::format("{}([", type_name(Value(Kind::view, std::make_shared<View>(view.dict, view.of)))));
  bool first = true;
  for (const auto& [key, value] : view.dict->entries()) {
    if (!run.ok()) return;
    if (!first) out.add(", ");
    first = false;
    if (view.of == ViewOf::items) out.add("(");
    if (view.of != ViewOf::values) add_repr(run, out, key);
    if (view.of == ViewOf::items) out.add(", ");
    if (view.of != ViewOf::keys) add_repr(run, out, value);
    if (view.of == ViewOf::items) out.add(")");
  }
  out.add("])");
}

void add_range(TextBuilder& out, const Range& range) {
  out.add(range.step == 1 ? fmt::format("range({}, {})", range.start, range.stop)
                          : fmt::format("range({}, {}, {})", range.start, range.stop, range.step));
}

// A namespace can hold itself, so its nesting is counted here.
void add_space(Run& run, TextBuilder& out, const Value& value) {
  if (++run.repr_depth > run.limits.value_depth)
    run.fail(FaultKind::limit, {}, "a namespace that contains itself is printed");
  if (run.ok()) {
    out.add("<Namespace ");
    add_dict(run, out, *value.as<Space>().attributes);
    out.add(">");
  }
  --run.repr_depth;
}

void add_object(Run& run, TextBuilder& out, const Value& value) {
  std::string text;
  if (value.is(Kind::function)) text = value.as<Function>().repr();
  if (value.is(Kind::loop)) text = loop_repr(run, value);
  if (!run.ok()) return;
  if (text.empty()) {
    run.unsupported("a {} is printed, which gives an address in memory", type_name(value));
    return;
  }
  out.add(text);
}

}  // namespace

void add_repr(Run& run, TextBuilder& out, const Value& value) {
  if (!run.step()) return;
  switch (value.kind()) {
    case Kind::missing:
    case Kind::undefined: return out.add("Undefined");
    case Kind::none: return out.add("None");
    case Kind::boolean: return out.add(value.boolean() ? "True" : "False");
    case Kind::integer: return out.add(fmt::format("{}", value.integer()));
    case Kind::real: return out.add(python_float(value.real()));
    case Kind::text:
      if (value.text().markup()) out.add("Markup(");
      add_text_repr(out, value.text());
      if (value.text().markup()) out.add(")");
      return;
    case Kind::list:
      out.add("[");
      add_items(run, out, value.items());
      return out.add("]");
    case Kind::tuple:
      out.add("(");
      add_items(run, out, value.items());
      return out.add(value.items().size() == 1 ? ",)" : ")");
    case Kind::dict: return add_dict(run, out, value.as<Dict>());
    case Kind::view: return add_view(run, out, value.as<View>());
    case Kind::range: return add_range(out, value.as<Range>());
    case Kind::space: return add_space(run, out, value);
    default: return add_object(run, out, value);
  }
}

void add_str(Run& run, TextBuilder& out, const Value& value) {
  if (value.is_text()) return out.add(value.text());
  if (value.is_undefined() || value.is_missing()) return;
  add_repr(run, out, value);
}

TextPtr to_text(Run& run, const Value& value) {
  if (value.is_text()) return value.text_ptr();
  TextBuilder out(run);
  add_str(run, out, value);
  const Value made = out.finish();
  return run.ok() ? made.text_ptr() : Text::make({});
}

std::string repr_of(std::string_view bytes) {
  constexpr std::size_t kShown = 60;
  std::string out = "'";
  out += bytes.substr(0, valid_utf8_prefix(bytes.substr(0, kShown)));
  if (bytes.size() > kShown) out += "...";
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return out + "'";
}

}  // namespace moe::inline MOE_ABI::chat

// Filters for HTML and addresses: escape, safe, striptags, urlencode, xmlattr; and the search over all filters.

#include "chat/arguments.hpp"
#include "chat/filters.hpp"
#include "chat/iterate.hpp"
#include "chat/markup.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

Value escape_filter(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "escape", {});
  return a ? escape(run, value) : Value();
}

Value forceescape(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_forceescape", {});
  if (!a) return {};
  TextBuilder out(run);
  add_escaped(out, *to_text(run, value));
  return out.finish(true);
}

Value safe(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_mark_safe", {});
  return a ? mark_safe(run, *to_text(run, value)) : Value();
}

Value striptags(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_striptags", {});
  return a ? strip_tags(run, *to_text(run, value)) : Value();
}

// Percent encoding; in a query spaces are plus signs and slashes are encoded too.
void add_quoted(Run& run, TextBuilder& out, const Value& value, bool query) {
  const TextPtr text = to_text(run, value);
  MarkReader from_content(*text);
  for (std::size_t at = 0; at < text->bytes().size() && run.ok(); ++at) {
    const auto c = static_cast<unsigned char>(text->bytes()[at]);
    const bool plain = std::isalnum(c) != 0 ||
                       std::string_view("_.-~").find(static_cast<char>(c)) != std::string_view::npos ||
                       (c == '/' && !query);
    if (c < 0x80 && plain)
      out.add(*text, at, at + 1);
    else if (query && c == ' ')
      out.add("+", from_content(at));
    else
      out.add(fmt::format("%{:02X}", c), from_content(at));
  }
}

Value urlencode(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_urlencode", {});
  if (!a) return {};
  TextBuilder out(run);
  if (value.is_text() || !is_iterable(value)) {
    add_quoted(run, out, value, false);
    return out.finish();
  }
  Value pairs = value;
  if (value.is(Kind::dict)) pairs = Value(Kind::view, run.make<View>(0, value.share<Dict>(), ViewOf::items));
  const auto walk = iterate(run, pairs);
  for (Value pair; walk != nullptr && run.ok() && walk->next(run, pair);) {
    const std::vector<Value> two = to_vector(run, pair);
    if (!run.ok()) break;
    if (two.size() != 2) return run.value_error("expected 2 values to unpack, got {}", two.size());
    if (out.size() > 0) out.add("&");
    add_quoted(run, out, two[0], true);
    out.add("=");
    add_quoted(run, out, two[1], true);
  }
  return out.finish();
}

Value xmlattr(Run& run, const Value& value, const Args& args) {
  const Bound<1> a(run, args, "do_xmlattr", {"autospace"});
  if (!a) return {};
  if (value.is_undefined()) return run.use_of(value);
  if (!value.is(Kind::dict))
    return run.fail(FaultKind::python, "AttributeError",
                    fmt::format("'{}' object has no attribute 'items'", type_name(value)));
  TextBuilder out(run);
  for (const auto& [key, item] : value.as<Dict>().entries()) {
    if (!run.step()) return {};
    if (item.is_none() || item.is_undefined()) continue;
    if (!key.is_text()) return run.type_error("expected string or bytes-like object, got '{}'", type_name(key));
    if (key.text().bytes().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos)
      return run.value_error("Invalid character in attribute name: {}", repr_of(key.text().bytes()));
    if (out.size() > 0 || a.truth(0, true)) out.add(" ");
    const Value name = escape(run, key), shown = escape(run, item);
    if (!run.ok()) return {};
    out.add(name.text());
    out.add("=\"");
    out.add(shown.text());
    out.add("\"");
  }
  return out.finish();
}

constexpr MethodRow kMarkupFilters[] = {{"e", escape_filter}, {"escape", escape_filter}, {"forceescape", forceescape},
                                        {"safe", safe},       {"striptags", striptags},  {"urlencode", urlencode},
                                        {"urlize", nullptr},  {"xmlattr", xmlattr}};

}  // namespace

std::span<const MethodRow> markup_filters() { return kMarkupFilters; }

const MethodRow* find_filter(std::string_view name) {
  for (const auto rows : {text_filters(), list_filters(), select_filters(), number_filters(), markup_filters()})
    for (const MethodRow& row : rows)
      if (row.name == name) return &row;
  return nullptr;
}

namespace {

Value apply(Run& run, const MethodRow* row, std::string_view kind, const Value& name, const Value& value,
            const Args& args) {
  if (row == nullptr)
    return run.fail(FaultKind::refused, "TemplateRuntimeError",
                    fmt::format("No {} named {}.", kind, name.is_text() ? repr_of(name.text().bytes()) : "that"));
  if (row->call == nullptr) return run.unsupported("the {} {} is not known here", kind, row->name);
  return run.step() ? row->call(run, value, args) : Value();
}

bool is_name(Run& run, const Value& name) {
  if (!hashable(name)) run.type_error("unhashable type: '{}'", type_name(name));
  return name.is_text();
}

}  // namespace

Value apply_filter(Run& run, const Value& name, const Value& value, const Args& args) {
  const MethodRow* row = is_name(run, name) ? find_filter(name.text().bytes()) : nullptr;
  return apply(run, row, "filter", name, value, args);
}

bool apply_test(Run& run, const Value& name, const Value& value, const Args& args) {
  const MethodRow* row = is_name(run, name) ? find_test(name.text().bytes()) : nullptr;
  return truthy(apply(run, row, "test", name, value, args));
}

}  // namespace moe::inline MOE_ABI::chat

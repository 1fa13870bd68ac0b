// Methods of str that look for parts: find, count, startswith, replace, removeprefix.

#include <algorithm>

#include "chat/arguments.hpp"
#include "chat/characters.hpp"
#include "chat/markup.hpp"
#include "chat/search.hpp"
#include "chat/strings.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

// Bytes [begin, end) of the arguments start and stop; `empty` if start is after stop.
struct Window {
  std::size_t begin = 0, end = 0;
  bool empty = false;
};

template <std::size_t N>
std::optional<Window> window(Run& run, const Text& text, const Bound<N>& a) {
  const std::int64_t length = text.length();
  run.look(text.bytes().size());
  std::int64_t bounds[2] = {0, length};
  for (std::size_t i = 1; i < N && i <= 2; ++i) {
    if (!a.has(i) || a[i].is_none()) continue;
    if (!a[i].is_integer()) {
      run.type_error("slice indices must be integers or None or have an __index__ method");
      return std::nullopt;
    }
    const std::int64_t at = a[i].integer();
    bounds[i - 1] = at < 0 ? std::max<std::int64_t>(at + length, 0) : at;
  }
  bounds[1] = std::min(bounds[1], length);
  if (bounds[0] > bounds[1]) return Window{0, 0, true};
  return Window{text.byte_at(bounds[0]), text.byte_at(bounds[1]), false};
}

// The byte of the first or last occurrence.
template <bool Last>
std::optional<std::size_t> locate(Run& run, const Text& text, const Args& args, bool* failed) {
  *failed = true;
  const Bound<3> a(run, args, Last ? "rfind" : "find", {"sub", "start", "end"}, 1, Naming::positional_only);
  const TextPtr part = a ? a.text(0) : nullptr;
  if (part == nullptr) return std::nullopt;
  const auto in = window(run, text, a);
  if (!in) return std::nullopt;
  *failed = false;
  if (in->empty) return std::nullopt;
  const std::string_view bytes = text.bytes().substr(0, in->end);
  if (!Last) {
    const std::size_t at = find_bytes(bytes, part->bytes(), in->begin);
    return at == std::string_view::npos ? std::nullopt : std::optional(at);
  }
  const std::size_t at = rfind_bytes(bytes.substr(in->begin), part->bytes());
  return at == std::string_view::npos ? std::nullopt : std::optional(in->begin + at);
}

template <bool Last>
Value find(Run& run, const Value& self, const Args& args) {
  bool failed = false;
  const auto at = locate<Last>(run, self.text(), args, &failed);
  if (failed) return {};
  return at ? Value(self.text().index_of(*at)) : Value(-1);
}

template <bool Last>
Value index(Run& run, const Value& self, const Args& args) {
  bool failed = false;
  const auto at = locate<Last>(run, self.text(), args, &failed);
  if (failed) return {};
  return at ? Value(self.text().index_of(*at)) : run.value_error("substring not found");
}

Value count(Run& run, const Value& self, const Args& args) {
  const Bound<3> a(run, args, "count", {"sub", "start", "end"}, 1, Naming::positional_only);
  const TextPtr part = a ? a.text(0) : nullptr;
  if (part == nullptr) return {};
  const Text& text = self.text();
  const auto in = window(run, text, a);
  if (!in) return {};
  if (in->empty) return 0;
  const std::string_view bytes = text.bytes().substr(0, in->end);
  if (part->bytes().empty()) return text.index_of(in->end) - text.index_of(in->begin) + 1;
  std::int64_t found = 0;
  for (std::size_t at = find_bytes(bytes, part->bytes(), in->begin); at != std::string_view::npos && run.step();
       at = find_bytes(bytes, part->bytes(), at + part->bytes().size()))
    ++found;
  return found;
}

template <bool End>
bool matches(const Window& in, std::string_view bytes, std::string_view part) {
  const std::string_view inside = bytes.substr(in.begin, in.end - in.begin);
  if (part.size() > inside.size()) return false;
  return (End ? inside.substr(inside.size() - part.size()) : inside.substr(0, part.size())) == part;
}

template <bool End>
Value starts_or_ends(Run& run, const Value& self, const Args& args) {
  const std::string_view name = End ? "endswith" : "startswith";
  const Bound<3> a(run, args, name, {"affix", "start", "end"}, 1, Naming::positional_only);
  if (!a) return {};
  const auto in = window(run, self.text(), a);
  if (!in) return {};
  std::vector<Value> parts = {a[0]};
  if (a[0].is(Kind::tuple)) parts = a[0].items();
  for (const Value& part : parts) {
    if (!part.is_text()) {
      if (a[0].is(Kind::tuple))
        return run.type_error("tuple for {} must only contain str, not {}", name, type_name(part));
      return run.type_error("{} first arg must be str or a tuple of str, not {}", name, type_name(part));
    }
    if (run.step() && !in->empty && matches<End>(*in, self.text().bytes(), part.text().bytes())) return true;
  }
  return false;
}

Value replace_method(Run& run, const Value& self, const Args& args) {
  const Bound<3> a(run, args, "replace", {"old", "new", "count"}, 2, Naming::positional_only);
  if (!a) return {};
  const TextPtr old_part = a.text(0), new_part = a.text(1);
  if (old_part == nullptr || new_part == nullptr) return {};
  const std::int64_t limit = a.index(2, -1);
  if (!run.ok()) return {};
  if (!self.text().markup()) return replace(run, self.text(), *old_part, *new_part, limit);
  const Value escaped = escape(run, a[1]);
  return run.ok() ? replace(run, self.text(), *old_part, escaped.text(), limit) : Value();
}

template <bool Suffix>
Value remove_affix(Run& run, const Value& self, const Args& args) {
  const Bound<1> a(run, args, Suffix ? "removesuffix" : "removeprefix", {"affix"}, 1, Naming::positional_only);
  const TextPtr part = a ? a.text(0) : nullptr;
  if (part == nullptr) return {};
  const Text& text = self.text();
  const std::size_t size = text.bytes().size(), cut = part->bytes().size();
  if (!matches<Suffix>({0, size, false}, text.bytes(), part->bytes())) return self;
  return Suffix ? part_of(run, text, 0, size - cut) : part_of(run, text, cut, size);
}

constexpr MethodRow kSearchMethods[] = {{"count", count},
                                        {"endswith", starts_or_ends<true>},
                                        {"find", find<false>},
                                        {"index", index<false>},
                                        {"removeprefix", remove_affix<false>},
                                        {"removesuffix", remove_affix<true>},
                                        {"replace", replace_method},
                                        {"rfind", find<true>},
                                        {"rindex", index<true>},
                                        {"startswith", starts_or_ends<false>}};

// An empty part matches before every character and at the end.
Value replace_empty(Run& run, const Text& text, const Text& new_part, std::int64_t count) {
  TextBuilder out(run);
  each_character(text.bytes(), [&](char32_t, std::size_t at, std::size_t size) {
    if (!run.ok()) return;
    if (count != 0) {
      out.add(new_part);
      --count;
      run.step();
    }
    out.add(text, at, at + size);
  });
  if (count != 0) out.add(new_part);
  return out.finish(text.markup());
}

}  // namespace

Value replace(Run& run, const Text& text, const Text& old_part, const Text& new_part, std::int64_t count) {
  const std::string_view bytes = text.bytes(), old_bytes = old_part.bytes();
  run.look(bytes.size());
  if (old_bytes.empty()) return replace_empty(run, text, new_part, count);
  TextBuilder out(run);
  std::size_t at = 0;
  while (count != 0 && run.step()) {
    const std::size_t found = find_bytes(bytes, old_bytes, at);
    if (found == std::string_view::npos) break;
    out.add(text, at, found);
    out.add(new_part);
    at = found + old_bytes.size();
    --count;
  }
  out.add(text, at, bytes.size());
  return out.finish(text.markup());
}

std::span<const MethodRow> str_search_methods() { return kSearchMethods; }

}  // namespace moe::inline MOE_ABI::chat

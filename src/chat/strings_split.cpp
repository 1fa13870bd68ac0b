// Methods of str that split or join: strip, split, partition, join.

#include <algorithm>

#include "chat/arguments.hpp"
#include "chat/characters.hpp"
#include "chat/iterate.hpp"
#include "chat/markup.hpp"
#include "chat/search.hpp"
#include "chat/strings.hpp"

namespace moe::inline MOE_ABI::chat {

Value part_of(Run& run, const Text& text, std::size_t begin, std::size_t end) {
  TextBuilder out(run);
  out.add(text, begin, end);
  return out.finish(text.markup());
}

namespace {

bool goes_left(Side side) { return side != Side::right; }
bool goes_right(Side side) { return side != Side::left; }

bool line_ends(char32_t c) {
  return (c >= 0xa && c <= 0xd) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

template <Side Where>
Value strip_method(Run& run, const Value& self, const Args& args) {
  const Bound<1> a(run, args, "strip", {"chars"}, 0, Naming::positional_only);
  return a ? strip(run, self.text(), a.value_or(0, Value()), Where) : Value();
}

// Words between white space, at most `limit` cuts; counted from the left.
std::vector<Value> split_space(Run& run, const Text& text, std::int64_t limit) {
  std::vector<Value> out;
  const std::string_view bytes = text.bytes();
  std::size_t at = leading_space(bytes);
  while (at < bytes.size() && run.step()) {
    if (limit >= 0 && static_cast<std::int64_t>(out.size()) == limit) {
      out.push_back(part_of(run, text, at, bytes.size()));
      break;
    }
    std::size_t end = at;
    while (end < bytes.size()) {
      const auto decoded = decode_utf8(bytes.data() + end);
      if (is_space(decoded.value)) break;
      end += decoded.bytes;
    }
    out.push_back(part_of(run, text, at, end));
    at = end + leading_space(bytes.substr(end));
  }
  return out;
}

std::vector<Value> rsplit_space(Run& run, const Text& text, std::int64_t limit) {
  std::vector<Value> out;
  const std::string_view bytes = text.bytes();
  std::size_t end = trailing_space(bytes);
  while (end > 0 && run.step()) {
    if (limit >= 0 && static_cast<std::int64_t>(out.size()) == limit) {
      out.push_back(part_of(run, text, 0, end));
      break;
    }
    std::size_t at = end;
    while (at > 0) {
      std::size_t start = 0;
      if (is_space(character_before(bytes, at, &start))) break;
      at = start;
    }
    out.push_back(part_of(run, text, at, end));
    end = trailing_space(bytes.substr(0, at));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<Value> split_at(Run& run, const Text& text, std::string_view separator, std::int64_t limit) {
  std::vector<Value> out;
  std::size_t at = 0;
  run.look(text.bytes().size());
  while (run.step() && (limit < 0 || static_cast<std::int64_t>(out.size()) < limit)) {
    const std::size_t found = find_bytes(text.bytes(), separator, at);
    if (found == std::string_view::npos) break;
    out.push_back(part_of(run, text, at, found));
    at = found + separator.size();
  }
  out.push_back(part_of(run, text, at, text.bytes().size()));
  return out;
}

std::vector<Value> rsplit_at(Run& run, const Text& text, std::string_view separator, std::int64_t limit) {
  std::vector<Value> out;
  std::size_t end = text.bytes().size();
  run.look(end);
  while (run.step() && (limit < 0 || static_cast<std::int64_t>(out.size()) < limit)) {
    const std::size_t found = rfind_bytes(text.bytes().substr(0, end), separator);
    if (found == std::string_view::npos) break;
    out.push_back(part_of(run, text, found + separator.size(), end));
    end = found;
  }
  out.push_back(part_of(run, text, 0, end));
  std::reverse(out.begin(), out.end());
  return out;
}

template <bool FromRight>
Value split_method(Run& run, const Value& self, const Args& args) {
  const Bound<2> a(run, args, "split", {"sep", "maxsplit"});
  if (!a) return {};
  const std::int64_t limit = a.index(1, -1);
  if (!run.ok()) return {};
  const Text& text = self.text();
  if (a.value_or(0, Value()).is_none())
    return run.list(FromRight ? rsplit_space(run, text, limit) : split_space(run, text, limit));
  const TextPtr separator = a.text(0);
  if (separator == nullptr) return {};
  if (separator->bytes().empty()) return run.value_error("empty separator");
  return run.list(FromRight ? rsplit_at(run, text, separator->bytes(), limit)
                            : split_at(run, text, separator->bytes(), limit));
}

Value splitlines_method(Run& run, const Value& self, const Args& args) {
  const Bound<1> a(run, args, "splitlines", {"keepends"});
  return a ? run.list(split_lines(run, self.text(), a.truth(0))) : Value();
}

template <bool FromRight>
Value partition(Run& run, const Value& self, const Args& args) {
  const Bound<1> a(run, args, "partition", {"sep"}, 1, Naming::positional_only);
  const TextPtr separator = a ? a.text(0) : nullptr;
  if (separator == nullptr) return {};
  if (separator->bytes().empty()) return run.value_error("empty separator");
  const Text& text = self.text();
  const std::string_view bytes = text.bytes();
  run.look(bytes.size());
  const std::size_t at = FromRight ? rfind_bytes(bytes, separator->bytes()) : find_bytes(bytes, separator->bytes(), 0);
  const Value empty = part_of(run, text, 0, 0);
  if (at == std::string_view::npos)
    return run.tuple(FromRight ? std::vector<Value>{empty, empty, self} : std::vector<Value>{self, empty, empty});
  const std::size_t behind = at + separator->bytes().size();
  return run.tuple(
      {part_of(run, text, 0, at), part_of(run, text, at, behind), part_of(run, text, behind, bytes.size())});
}

Value join_method(Run& run, const Value& self, const Args& args) {
  const Bound<1> a(run, args, "join", {"iterable"}, 1, Naming::positional_only);
  const auto walk = a ? iterate(run, a[0]) : nullptr;
  if (walk == nullptr) return {};
  const Text& between = self.text();
  // A plain string that joins marked ones gives a plain string.
  TextBuilder out(run);
  std::int64_t count = 0;
  for (Value item; run.ok() && walk->next(run, item); ++count) {
    if (count > 0) out.add(between);
    if (between.markup()) item = escape(run, item);
    if (!run.ok()) return {};
    if (!item.is_text())
      return run.type_error("sequence item {}: expected str instance, {} found", count, type_name(item));
    out.add(item.text());
  }
  return out.finish(between.markup());
}

constexpr MethodRow kSplitMethods[] = {
    {"join", join_method},           {"lstrip", strip_method<Side::left>}, {"partition", partition<false>},
    {"rpartition", partition<true>}, {"rsplit", split_method<true>},       {"rstrip", strip_method<Side::right>},
    {"split", split_method<false>},  {"splitlines", splitlines_method},    {"strip", strip_method<Side::both>}};

}  // namespace

Value strip(Run& run, const Text& text, const Value& chars, Side side) {
  const std::string_view bytes = text.bytes();
  run.look(bytes.size());
  std::size_t begin = 0, end = bytes.size();
  if (chars.is_none()) {
    if (goes_left(side)) begin = leading_space(bytes);
    if (goes_right(side) && begin < end) end = trailing_space(bytes);
    return part_of(run, text, begin, end);
  }
  if (!chars.is_text()) return run.type_error("strip arg must be None or str");
  // Sorted once, because the set may have thousands of characters.
  std::u32string set;
  each_character(chars.text().bytes(), [&](char32_t c, std::size_t, std::size_t) { set.push_back(c); });
  std::sort(set.begin(), set.end());
  const auto stripped = [&](char32_t c) { return std::binary_search(set.begin(), set.end(), c); };
  while (goes_left(side) && begin < end) {
    const auto decoded = decode_utf8(bytes.data() + begin);
    if (!stripped(decoded.value)) break;
    begin += decoded.bytes;
  }
  while (goes_right(side) && begin < end) {
    std::size_t start = 0;
    if (!stripped(character_before(bytes, end, &start))) break;
    end = start;
  }
  return part_of(run, text, begin, end);
}

std::vector<Value> split_lines(Run& run, const Text& text, bool keep_ends) {
  std::vector<Value> out;
  const std::string_view bytes = text.bytes();
  run.look(bytes.size());
  std::size_t start = 0;
  for (std::size_t at = 0; at < bytes.size() && run.ok();) {
    const auto decoded = decode_utf8(bytes.data() + at);
    std::size_t next = at + decoded.bytes;
    if (line_ends(decoded.value)) {
      if (decoded.value == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
      run.step();
      out.push_back(part_of(run, text, start, keep_ends ? next : at));
      start = next;
    }
    at = next;
  }
  if (start < bytes.size()) out.push_back(part_of(run, text, start, bytes.size()));
  return out;
}

std::span<const MethodRow> str_split_methods() { return kSplitMethods; }

}  // namespace moe::inline MOE_ABI::chat

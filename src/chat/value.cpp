#include "chat/value.hpp"

#include <algorithm>
#include <cmath>

namespace moe::inline MOE_ABI::chat {

const std::vector<Value>& Value::items() const { return static_cast<const List&>(*object_).items(); }

namespace {

constexpr std::uint64_t kHeaviest = std::uint64_t{1} << 62;
std::uint64_t plus(std::uint64_t a, std::uint64_t b) { return std::min(a + b, kHeaviest); }

}  // namespace

List::List(std::vector<Value> items) : items_(std::move(items)) {
  for (const Value& item : items_) {
    depth_ = std::max(depth_, 1 + depth_of(item));
    weight_ = plus(weight_, weight_of(item));
  }
}

Range::Range(std::int64_t start_at, std::int64_t stop_at, std::int64_t by)
    : start(start_at), stop(stop_at), step(by), length(0) {
  if (by > 0 ? start_at >= stop_at : start_at <= stop_at) return;
  // Unsigned: the ends may lie further apart than an int64 counts.
  const auto first = static_cast<std::uint64_t>(start_at), last = static_cast<std::uint64_t>(stop_at);
  const auto width = static_cast<std::uint64_t>(by);
  const std::uint64_t count = by > 0 ? (last - first - 1) / width + 1 : (first - last - 1) / (0 - width) + 1;
  length = static_cast<std::int64_t>(std::min(count, static_cast<std::uint64_t>(INT64_MAX)));
}

const Value* Args::named_value(std::string_view name) const {
  for (const auto& [key, value] : named)
    if (key == name) return &value;
  return nullptr;
}

std::size_t Dict::slot_of(const Value& key, std::size_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  while (slots_[at] != 0 && !equal(entries_[slots_[at] - 1].first, key)) at = (at + 1) & mask;
  return at;
}

void Dict::grow() {
  const std::size_t wanted = entries_.size() * 4;
  std::size_t size = 32;
  while (size < wanted) size *= 2;
  slots_.assign(size, 0);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Value& key = entries_[i].first;
    slots_[slot_of(key, hash_of(key))] = static_cast<std::uint32_t>(i + 1);
  }
}

void Dict::set(Value key, Value value) {
  depth_ = std::max({depth_, 1 + depth_of(key), 1 + depth_of(value)});
  weight_ = plus(weight_, plus(weight_of(key), weight_of(value)));
  if (const Value* known = find(key)) {
    const_cast<Value&>(*known) = std::move(value);
    return;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  if (entries_.size() <= 8) return;
  if (slots_.size() < entries_.size() * 2) return grow();
  const Value& added = entries_.back().first;
  slots_[slot_of(added, hash_of(added))] = static_cast<std::uint32_t>(entries_.size());
}

const Value* Dict::find(const Value& key) const {
  if (slots_.empty()) {
    for (const Entry& entry : entries_)
      if (equal(entry.first, key)) return &entry.second;
    return nullptr;
  }
  const std::size_t at = slot_of(key, hash_of(key));
  return slots_[at] == 0 ? nullptr : &entries_[slots_[at] - 1].second;
}

const Value* Dict::find(std::string_view key) const {
  if (slots_.empty()) {
    for (const Entry& entry : entries_)
      if (entry.first.is_text() && entry.first.text().bytes() == key) return &entry.second;
    return nullptr;
  }
  return find(Value(Text::make(std::string(key))));
}

std::string_view type_name(const Value& value) {
  static constexpr std::string_view kViews[] = {"dict_keys", "dict_values", "dict_items"};
  switch (value.kind()) {
    case Kind::missing:
    case Kind::undefined: return "Undefined";
    case Kind::none: return "NoneType";
    case Kind::boolean: return "bool";
    case Kind::integer: return "int";
    case Kind::real: return "float";
    case Kind::text: return value.text().markup() ? "Markup" : "str";
    case Kind::list: return "list";
    case Kind::tuple: return value.as<List>().group ? "_GroupTuple" : "tuple";
    case Kind::dict: return "dict";
    case Kind::range: return "range";
    case Kind::view: return kViews[static_cast<int>(value.as<View>().of)];
    case Kind::iterator: return value.as<Iterator>().type_name;
    case Kind::space: return "Namespace";
    case Kind::function: return value.as<Function>().type_name();
    case Kind::loop: return "LoopContext";
    case Kind::thing: return value.as<Thing>().type_name();
  }
  return "object";
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none: return false;
    case Kind::boolean:
    case Kind::integer: return value.integer() != 0;
    case Kind::real: return value.real() != 0;
    default: {
      const std::int64_t length = length_of(value);
      return length != 0;
    }
  }
}

std::int64_t length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined: return 0;
    case Kind::text: return value.text().length();
    case Kind::list:
    case Kind::tuple: return static_cast<std::int64_t>(value.items().size());
    case Kind::dict: return static_cast<std::int64_t>(value.as<Dict>().size());
    case Kind::range: return value.as<Range>().length;
    case Kind::view: return static_cast<std::int64_t>(value.as<View>().dict->size());
    default: return -1;
  }
}

int depth_of(const Value& value) {
  switch (value.kind()) {
    case Kind::list:
    case Kind::tuple: return value.as<List>().depth();
    case Kind::dict: return value.as<Dict>().depth();
    case Kind::view: return 1 + value.as<View>().dict->depth();
    case Kind::iterator: return value.as<Iterator>().depth;
    case Kind::function: return value.as<Function>().depth;
    case Kind::thing: return value.as<Thing>().depth;
    default: return 0;
  }
}

std::uint64_t weight_of(const Value& value) {
  switch (value.kind()) {
    case Kind::text: return 1 + value.text().bytes().size() / 256;
    case Kind::list:
    case Kind::tuple: return value.as<List>().weight();
    case Kind::dict: return value.as<Dict>().weight();
    case Kind::view: return value.as<View>().dict->weight();
    default: return 1;
  }
}

bool hashable(const Value& value) {
  if (value.is(Kind::list) || value.is(Kind::dict)) return false;
  if (value.is(Kind::view)) return value.as<View>().of == ViewOf::values;
  if (value.is(Kind::tuple)) return std::all_of(value.items().begin(), value.items().end(), hashable);
  return true;
}

std::size_t hash_of(const Value& value) {
  switch (value.kind()) {
    case Kind::none: return 17;
    case Kind::undefined: return 19;
    case Kind::boolean:
    case Kind::integer: return std::hash<std::int64_t>{}(value.integer()) * 0x9e3779b97f4a7c15u >> 7;
    case Kind::real: {
      const double d = value.real();
      if (std::trunc(d) == d && std::abs(d) < 9.2e18) return hash_of(Value(static_cast<std::int64_t>(d)));
      return std::hash<double>{}(d);
    }
    case Kind::text: return std::hash<std::string_view>{}(value.text().bytes());
    case Kind::tuple: {
      std::size_t hash = 23;
      for (const Value& item : value.items()) hash = hash * 1'000'003 + hash_of(item);
      return hash;
    }
    case Kind::range: return std::hash<std::int64_t>{}(value.as<Range>().length);
    default: return std::hash<const void*>{}(value.object());
  }
}

namespace {

bool equal_numbers(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.integer() == b.integer();
  if (a.is(Kind::real) && b.is(Kind::real)) return a.real() == b.real();
  // An int beside a float: exact, as Python. A double holds every integer up to 2^53 only.
  const std::int64_t i = a.is_integer() ? a.integer() : b.integer();
  const double d = a.is_integer() ? b.real() : a.real();
  return d >= -9223372036854775808.0 && d < 9223372036854775808.0 && std::trunc(d) == d &&
         static_cast<std::int64_t>(d) == i;
}

bool equal_ranges(const Range& a, const Range& b) {
  return a.length == b.length && (a.length == 0 || (a.start == b.start && (a.length == 1 || a.step == b.step)));
}

bool equal_dicts(const Dict& a, const Dict& b) {
  return a.size() == b.size() && std::all_of(a.entries().begin(), a.entries().end(), [&](const Dict::Entry& entry) {
           const Value* other = b.find(entry.first);
           return other != nullptr && equal(entry.second, *other);
         });
}

// keys() and items() compare as sets.
bool equal_views(const View& a, const View& b) {
  if (a.of == ViewOf::values || a.of != b.of) return &a == &b;
  if (a.of == ViewOf::items) return equal_dicts(*a.dict, *b.dict);
  return a.dict->size() == b.dict->size() &&
         std::all_of(a.dict->entries().begin(), a.dict->entries().end(),
                     [&](const Dict::Entry& entry) { return b.dict->find(entry.first) != nullptr; });
}

}  // namespace

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none: return true;
    case Kind::text: return a.text().bytes() == b.text().bytes();
    case Kind::list:
    case Kind::tuple:
      return a.object() == b.object() ||
             std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(), equal);
    case Kind::dict: return a.object() == b.object() || equal_dicts(a.as<Dict>(), b.as<Dict>());
    case Kind::range: return equal_ranges(a.as<Range>(), b.as<Range>());
    case Kind::view: return equal_views(a.as<View>(), b.as<View>());
    default: return a.object() == b.object();
  }
}

bool same_object(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::none: return true;
    case Kind::boolean:
    case Kind::integer: return a.integer() == b.integer();
    case Kind::real: return a.real() == b.real();
    case Kind::text: return equal(a, b);
    default: return a.object() == b.object();
  }
}

}  // namespace moe::inline MOE_ABI::chat

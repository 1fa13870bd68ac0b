#include "chat/value.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

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
    hashable_ = hashable_ && hashable(item);
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

namespace {

// -1, 0, 1 for numbers of any kind. long double holds every int64 and every double; NaN is last, and one key.
int order_number_keys(const Value& a, const Value& b) {
  const auto wide = [](const Value& v) {
    return v.is_integer() ? static_cast<long double>(v.integer()) : static_cast<long double>(v.real());
  };
  const long double x = wide(a), y = wide(b);
  if (std::isnan(x) || std::isnan(y)) return static_cast<int>(std::isnan(x)) - static_cast<int>(std::isnan(y));
  return x < y ? -1 : static_cast<int>(x > y);
}

// Any order will do, as long as equal keys are equal in it.
int order_keys(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return order_number_keys(a, b);
  const auto rank = [](const Value& v) { return v.is_number() ? -1 : static_cast<int>(v.kind()); };
  if (rank(a) != rank(b)) return rank(a) < rank(b) ? -1 : 1;
  if (a.is_text()) return a.text().bytes().compare(b.text().bytes());
  if (a.is_none() || a.is_undefined()) return 0;
  if (a.is(Kind::tuple)) {
    const auto &x = a.items(), &y = b.items();
    for (std::size_t i = 0; i < x.size() && i < y.size(); ++i)
      if (const int order = order_keys(x[i], y[i]); order != 0) return order;
    return x.size() < y.size() ? -1 : static_cast<int>(x.size() > y.size());
  }
  if (a.is(Kind::range)) {
    const auto &x = a.as<Range>(), &y = b.as<Range>();
    const auto key = [](const Range& r) {
      return std::array<std::int64_t, 3>{r.length, r.length > 0 ? r.start : 0, r.length > 1 ? r.step : 0};
    };
    return key(x) < key(y) ? -1 : static_cast<int>(key(y) < key(x));
  }
  return std::less<>{}(a.object(), b.object()) ? -1 : static_cast<int>(a.object() != b.object());
}

// Looking through so many entries is faster than the tree.
constexpr std::size_t kFewEntries = 8;

}  // namespace

bool Dict::Before::operator()(const Value& a, const Value& b) const { return order_keys(a, b) < 0; }

void Dict::set(Value key, Value value) {
  depth_ = std::max({depth_, 1 + depth_of(key), 1 + depth_of(value)});
  weight_ = plus(weight_, plus(weight_of(key), weight_of(value)));
  if (const Value* known = find(key)) {
    const_cast<Value&>(*known) = std::move(value);
    return;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  if (entries_.size() <= kFewEntries) return;
  for (std::size_t i = places_.size(); i < entries_.size(); ++i)
    places_.emplace(entries_[i].first, static_cast<std::uint32_t>(i));
}

const Value* Dict::find(const Value& key) const {
  if (places_.empty()) {
    for (const Entry& entry : entries_)
      if (order_keys(entry.first, key) == 0) return &entry.second;
    return nullptr;
  }
  const auto found = places_.find(key);
  return found == places_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Dict::find(std::string_view key) const {
  if (!places_.empty()) return find(Value(Text::make(std::string(key))));
  for (const Entry& entry : entries_)
    if (entry.first.is_text() && entry.first.text().bytes() == key) return &entry.second;
  return nullptr;
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
  if (value.is(Kind::tuple)) return value.as<List>().hashable_items();
  return true;
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

#include "chat/operators.hpp"

#include <algorithm>
#include <cmath>

#include "chat/attributes.hpp"
#include "chat/characters.hpp"
#include "chat/iterate.hpp"
#include "chat/loop.hpp"
#include "chat/repr.hpp"
#include "chat/search.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

int order(bool before, bool behind) { return before ? -1 : (behind ? 1 : 0); }

// -1, 0, 1, or 2 for a NaN. long double holds every int64 and every double.
int order_numbers(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return order(a.integer() < b.integer(), a.integer() > b.integer());
  const auto wide = [](const Value& v) {
    return v.is_integer() ? static_cast<long double>(v.integer()) : static_cast<long double>(v.real());
  };
  const long double x = wide(a), y = wide(b);
  if (std::isnan(x) || std::isnan(y)) return 2;
  return order(x<y, x> y);
}

constexpr std::string_view kComparisonSigns[] = {"==", "!=", "<", "<=", ">", ">=", "in", "not in"};

bool holds(Comparison op, int order) {
  switch (op) {
    case Comparison::lt: return order == -1;
    case Comparison::le: return order == -1 || order == 0;
    case Comparison::gt: return order == 1;
    default: return order == 1 || order == 0;
  }
}

bool ordered(Run& run, Comparison op, const Value& a, const Value& b) {
  if (a.is_undefined() || b.is_undefined()) return run.use_of(a.is_undefined() ? a : b), false;
  if (a.is_number() && b.is_number()) return holds(op, order_numbers(a, b));
  if (a.is_text() && b.is_text()) {
    // The order of bytes in UTF-8 is that of code points.
    run.look(std::min(a.text().bytes().size(), b.text().bytes().size()));
    const int c = a.text().bytes().compare(b.text().bytes());
    return holds(op, order(c<0, c> 0));
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    const auto &x = a.items(), &y = b.items();
    for (std::size_t i = 0; i < x.size() && i < y.size() && run.walk(x[i]); ++i)
      if (!equal(x[i], y[i])) return ordered(run, op, x[i], y[i]);
    return holds(op, order(x.size() < y.size(), x.size() > y.size()));
  }
  run.type_error("'{}' not supported between instances of '{}' and '{}'", kComparisonSigns[static_cast<int>(op)],
                 type_name(a), type_name(b));
  return false;
}

bool contained_in_list(Run& run, const Value& item, const std::vector<Value>& items) {
  for (const Value& other : items) {
    if (!run.step()) return false;
    if (run.same(item, other) || same_object(item, other)) return true;
  }
  return false;
}

bool contained_in_view(Run& run, const Value& item, const View& view) {
  if (view.of == ViewOf::keys) {
    if (!hashable(item)) return run.type_error("unhashable type: '{}'", type_name(item)), false;
    return view.dict->find(item) != nullptr;
  }
  for (const auto& [key, value] : view.dict->entries()) {
    if (!run.step()) return false;
    if (view.of == ViewOf::values ? run.same(item, value)
                                  : item.is(Kind::tuple) && item.items().size() == 2 &&
                                        run.same(item.items()[0], key) && run.same(item.items()[1], value))
      return true;
  }
  return false;
}

bool contained(Run& run, const Value& item, const Value& whole) {
  if (!run.walk(item)) return false;
  switch (whole.kind()) {
    case Kind::text:
      if (!item.is_text())
        return run.type_error("'in <string>' requires string as left operand, not {}", type_name(item)), false;
      run.look(whole.text().bytes().size());
      return find_bytes(whole.text().bytes(), item.text().bytes(), 0) != std::string_view::npos;
    case Kind::list:
    case Kind::tuple: return contained_in_list(run, item, whole.items());
    case Kind::dict:
      if (!hashable(item)) return run.type_error("unhashable type: '{}'", type_name(item)), false;
      return whole.as<Dict>().find(item) != nullptr;
    case Kind::view: return contained_in_view(run, item, whole.as<View>());
    case Kind::undefined: return false;
    default: break;
  }
  if (!is_iterable(whole)) return run.type_error("argument of type '{}' is not iterable", type_name(whole)), false;
  const auto walk = iterate(run, whole);
  for (Value other; run.ok() && walk->next(run, other);)
    if (run.same(item, other)) return true;
  return false;
}

}  // namespace

bool compare(Run& run, Comparison op, const Value& a, const Value& b) {
  switch (op) {
    case Comparison::eq:
    case Comparison::ne: {
      if (!run.step(std::min(weight_of(a), weight_of(b)) >> 3)) return false;
      return equal(a, b) == (op == Comparison::eq);
    }
    case Comparison::in: return contained(run, a, b);
    case Comparison::not_in: return !contained(run, a, b);
    default: return ordered(run, op, a, b);
  }
}

std::optional<std::int64_t> as_index(Run& run, const Value& value) {
  if (value.is_integer()) return value.integer();
  run.type_error("'{}' object cannot be interpreted as an integer", type_name(value));
  return std::nullopt;
}

namespace {

Value no_such(Run& run, const Value& object, const Value& key) {
  const std::string type = object.is_none() ? std::string("None") : fmt::format("{} object", type_name(object));
  if (key.is_text()) return run.undefined(fmt::format("'{}' has no attribute {}", type, repr_of(key.text().bytes())));
  if (key.is_integer()) return run.undefined(fmt::format("{} has no element {}", type, key.integer()));
  return run.undefined(fmt::format("{} has no element of type {}", type, type_name(key)));
}

// obj[key] only; missing for Python's TypeError and LookupError.
Value plain_item(Run& run, const Value& object, const Value& key) {
  switch (object.kind()) {
    case Kind::text:
    case Kind::list:
    case Kind::tuple:
    case Kind::range: {
      if (!key.is_integer()) return Value::missing();
      const std::int64_t length = length_of(object);
      const std::int64_t i = key.integer() < 0 ? key.integer() + length : key.integer();
      if (i < 0 || i >= length) return Value::missing();
      if (object.is(Kind::range)) return object.as<Range>().at(i);
      if (object.is_sequence()) return object.items()[static_cast<std::size_t>(i)];
      const Text& text = object.text();
      if (!text.ascii()) run.look(text.bytes().size() / 2);
      TextBuilder out(run);
      const std::size_t begin = text.byte_at(i);
      out.add(text, begin, begin + decode_utf8(text.bytes().data() + begin).bytes);
      return out.finish(text.markup());
    }
    case Kind::dict: {
      if (!hashable(key) || !run.walk(key)) return Value::missing();
      const Value* found = object.as<Dict>().find(key);
      return found != nullptr ? *found : Value::missing();
    }
    case Kind::thing: return key.is_text() ? object.as<Thing>().item(run, key.text().bytes()) : Value::missing();
    default: return Value::missing();
  }
}

Value unsafe(Run& run, const Value& object, std::string_view name) {
  return run.undefined(
      fmt::format("access to attribute {} of '{}' object is unsafe.", repr_of(name), type_name(object)), true);
}

}  // namespace

Value get_item(Run& run, const Value& object, const Value& key) {
  if (object.is_undefined()) return run.use_of(object);
  Value found = plain_item(run, object, key);
  if (!found.is_missing() || !run.ok()) return found;
  if (key.is_text()) {
    const std::string_view name = key.text().bytes();
    const Attribute attribute = find_attribute(run, object, name);
    if (attribute.unsafe) return unsafe(run, object, name);
    if (!attribute.value.is_missing()) return attribute.value;
  }
  return no_such(run, object, key);
}

Value get_item(Run& run, const Value& object, std::string_view key) {
  if (object.is(Kind::dict))
    if (const Value* found = object.as<Dict>().find(key)) return *found;
  return get_item(run, object, Value(Text::make(std::string(key))));
}

Value get_attribute(Run& run, const Value& object, std::string_view name) {
  const Attribute attribute = find_attribute(run, object, name);
  if (attribute.unsafe) return unsafe(run, object, name);
  if (object.is_undefined()) return run.use_of(object);
  if (!attribute.value.is_missing() || !run.ok()) return attribute.value;
  if (object.is(Kind::dict))
    if (const Value* found = object.as<Dict>().find(name)) return *found;
  if (object.is(Kind::thing)) {
    Value item = object.as<Thing>().item(run, name);
    if (!item.is_missing()) return item;
  }
  return no_such(run, object, Value(Text::make(std::string(name))));
}

namespace {

struct Bounds {
  std::int64_t start, stop, step, count;
};

// Python's rules for a slice of something `length` long.
std::optional<Bounds> slice_bounds(Run& run, std::int64_t length, const Value& start, const Value& stop,
                                   const Value& step) {
  for (const Value* bound : {&start, &stop, &step})
    if (!bound->is_none() && !bound->is_integer()) {
      run.type_error("slice indices must be integers or None or have an __index__ method");
      return std::nullopt;
    }
  const std::int64_t by = step.is_none() ? 1 : step.integer();
  if (by == 0) return run.value_error("slice step cannot be zero"), std::nullopt;
  const std::int64_t lowest = by < 0 ? -1 : 0, highest = by < 0 ? length - 1 : length;
  const auto clip = [&](const Value& bound, std::int64_t absent) {
    if (bound.is_none()) return absent;
    const std::int64_t i = bound.integer();
    if (i < 0) return i < -length ? lowest : std::max(i + length, lowest);
    return std::min(i, highest);
  };
  const std::int64_t from = clip(start, by < 0 ? highest : lowest), to = clip(stop, by < 0 ? lowest : highest);
  return Bounds{from, to, by, Range(from, to, by).length};
}

Value slice_text(Run& run, const Text& text, const Bounds& b) {
  TextBuilder out(run);
  if (b.count == 0) return out.finish(text.markup());
  if (b.step == 1) {
    run.look(text.bytes().size());
    out.add(text, text.byte_at(b.start), text.byte_at(b.start + b.count));
    return out.finish(text.markup());
  }
  // The first byte of every character, for steps other than 1.
  std::vector<std::uint32_t> starts;
  starts.reserve(static_cast<std::size_t>(text.length()) + 1);
  each_character(text.bytes(),
                 [&](char32_t, std::size_t at, std::size_t) { starts.push_back(static_cast<std::uint32_t>(at)); });
  starts.push_back(static_cast<std::uint32_t>(text.bytes().size()));
  run.step(static_cast<std::uint64_t>(text.length()) >> 4);
  for (std::int64_t i = 0; i < b.count && run.ok(); ++i) {
    const auto at = static_cast<std::size_t>(b.start + i * b.step);
    out.add(text, starts[at], starts[at + 1]);
  }
  return out.finish(text.markup());
}

}  // namespace

Value slice(Run& run, const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (object.is_undefined()) return run.use_of(object);
  if (!object.is_text() && !object.is_sequence() && !object.is(Kind::range)) {
    if (object.is(Kind::dict)) return run.type_error("unhashable type: 'slice'");
    return run.type_error("'{}' object is not subscriptable", type_name(object));
  }
  const auto bounds = slice_bounds(run, length_of(object), start, stop, step);
  if (!bounds) return {};
  if (object.is_text()) return slice_text(run, object.text(), *bounds);
  if (object.is(Kind::range)) {
    const auto& range = object.as<Range>();
    // A range holds at most 100,000 items, but its step may be anything.
    std::int64_t by = 0;
    if (__builtin_mul_overflow(range.step, bounds->step, &by)) return run.overflow();
    return Value(Kind::range, run.make<Range>(0, range.at(bounds->start), range.at(bounds->stop), by));
  }
  if (!run.step(static_cast<std::uint64_t>(bounds->count))) return {};
  std::vector<Value> items;
  items.reserve(static_cast<std::size_t>(bounds->count));
  for (std::int64_t i = 0; i < bounds->count; ++i)
    items.push_back(object.items()[static_cast<std::size_t>(bounds->start + i * bounds->step)]);
  return object.is(Kind::list) ? run.list(std::move(items)) : run.tuple(std::move(items));
}

Value call_value(Run& run, const Value& callee, const Args& args) {
  if (!run.step()) return {};
  switch (callee.kind()) {
    case Kind::undefined: return run.use_of(callee);
    case Kind::function: return callee.as<Function>().call(run, args);
    case Kind::loop: {
      const auto& loop = callee.as<Loop>();
      if (loop.recurse.is_none())
        return run.type_error("The loop must have the 'recursive' marker to be called recursively.");
      return loop.recurse.as<Function>().call(run, args);
    }
    case Kind::thing:
      if (callee.as<Thing>().callable()) return callee.as<Thing>().call(run, args);
      [[fallthrough]];
    default: return run.type_error("'{}' object is not callable", type_name(callee));
  }
}

namespace {

// Comparisons in Python's order as long as it uses insertion sort: if several would fail, the first one gives the
// error.
class KeySort {
 public:
  KeySort(Run& run, const std::vector<Value>& keys) : run_(run), keys_(keys) {}

  void insertion(std::vector<std::size_t>& order) {
    std::size_t sorted = first_run(order);
    for (; sorted < order.size() && run_.ok(); ++sorted) {
      const std::size_t pivot = order[sorted];
      std::size_t left = 0, right = sorted;
      while (left < right) {
        const std::size_t middle = left + (right - left) / 2;
        if (before(pivot, order[middle]))
          right = middle;
        else
          left = middle + 1;
      }
      std::copy_backward(order.begin() + static_cast<std::ptrdiff_t>(left),
                         order.begin() + static_cast<std::ptrdiff_t>(sorted),
                         order.begin() + static_cast<std::ptrdiff_t>(sorted) + 1);
      order[left] = pivot;
    }
  }

  // Bottom-up merge sort: no recursion, and safe with any result of the comparison (NaN, faults).
  void merging(std::vector<std::size_t>& order) {
    std::vector<std::size_t> merged(order.size());
    for (std::size_t width = 1; width < order.size() && run_.ok(); width *= 2) {
      for (std::size_t begin = 0; begin < order.size(); begin += 2 * width) {
        const std::size_t middle = std::min(begin + width, order.size()),
                          end = std::min(begin + 2 * width, order.size());
        std::size_t left = begin, right = middle;
        for (std::size_t at = begin; at < end; ++at) {
          const bool take_right = left == middle || (right < end && before(order[right], order[left]));
          merged[at] = order[take_right ? right++ : left++];
        }
      }
      order.swap(merged);
    }
  }

 private:
  bool before(std::size_t a, std::size_t b) { return run_.step() && less(run_, keys_[a], keys_[b]); }

  // The length of the ascending or descending run at the start; a descending one is reversed.
  std::size_t first_run(std::vector<std::size_t>& order) {
    if (order.size() < 2) return order.size();
    const bool falling = before(order[1], order[0]);
    std::size_t end = 2;
    while (end < order.size() && run_.ok() && before(order[end], order[end - 1]) == falling) ++end;
    if (falling) std::reverse(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(end));
    return end;
  }

  Run& run_;
  const std::vector<Value>& keys_;
};

}  // namespace

void sort_by(Run& run, std::vector<Value>& values, const std::vector<Value>& keys, bool reverse) {
  std::vector<std::size_t> order(values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Reversed before and after, so that the order of equal items is stable.
  if (reverse) std::reverse(order.begin(), order.end());
  KeySort sort(run, keys);
  if (order.size() < 64)
    sort.insertion(order);
  else
    sort.merging(order);
  if (reverse) std::reverse(order.begin(), order.end());
  std::vector<Value> sorted;
  sorted.reserve(values.size());
  for (std::size_t i : order) sorted.push_back(std::move(values[i]));
  values = std::move(sorted);
}

}  // namespace moe::inline MOE_ABI::chat

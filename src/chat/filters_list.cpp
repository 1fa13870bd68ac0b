// Filters over whole sequences: join, sort, first, min, sum, groupby, dictsort.

#include "chat/arguments.hpp"
#include "chat/characters.hpp"
#include "chat/filters.hpp"
#include "chat/item_path.hpp"
#include "chat/iterate.hpp"
#include "chat/json.hpp"
#include "chat/loop.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

Value default_filter(Run& run, const Value& value, const Args& args) {
  const Bound<2> a(run, args, "do_default", {"default_value", "boolean"});
  if (!a) return {};
  const bool absent = value.is_undefined() || (a.truth(1) && !truthy(value));
  return absent ? a.value_or(0, run.text({})) : value;
}

Value list(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_list", {});
  return a ? run.list(to_vector(run, value)) : Value();
}

Value join(Run& run, const Value& value, const Args& args) {
  const Bound<2> a(run, args, "do_join", {"d", "attribute"});
  if (!a) return {};
  const auto between = a.has(0) ? to_text(run, a[0]) : Text::make({});
  const ItemPath path(run, a[1]);
  const auto walk = iterate(run, value);
  TextBuilder out(run);
  bool first = true;
  for (Value item; walk != nullptr && run.ok() && walk->next(run, item); first = false) {
    if (!first) out.add(*between);
    add_str(run, out, path.follow(run, item));
  }
  return out.finish();
}

Value first(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_first", {});
  const auto walk = a ? iterate(run, value) : nullptr;
  if (walk == nullptr) return {};
  Value item;
  if (walk->next(run, item)) return item;
  return run.ok() ? run.undefined("No first item, sequence was empty.") : Value();
}

Value last(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_last", {});
  if (!a) return {};
  const auto walk = reverse_iterate(run, value);
  if (walk == nullptr) return run.type_error("'{}' object is not reversible", type_name(value));
  Value item;
  if (walk->next(run, item)) return item;
  return run.ok() ? run.undefined("No last item, sequence was empty.") : Value();
}

Value reverse(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_reverse", {});
  if (!a) return {};
  if (value.is_text()) return slice(run, value, {}, {}, Value(-1));
  if (auto walk = reverse_iterate(run, value)) return run.iterator(std::move(walk), value);
  if (!is_iterable(value)) return run.fail(FaultKind::refused, "FilterArgumentError", "argument must be iterable");
  std::vector<Value> items = to_vector(run, value);
  return run.list({items.rbegin(), items.rend()});
}

Value sort(Run& run, const Value& value, const Args& args) {
  const Bound<3> a(run, args, "do_sort", {"reverse", "case_sensitive", "attribute"});
  if (!a) return {};
  const ItemPaths paths(run, a.value_or(2, Value()), a.truth(1));
  std::vector<Value> items = to_vector(run, value), keys;
  for (const Value& item : items) keys.push_back(paths.key(run, item));
  if (run.ok()) sort_by(run, items, keys, a.truth(0));
  return run.list(std::move(items));
}

Value dictsort(Run& run, const Value& value, const Args& args) {
  const Bound<3> a(run, args, "do_dictsort", {"case_sensitive", "by", "reverse"});
  if (!a) return {};
  const auto by = a.has(1) ? to_text(run, a[1]) : Text::make("key");
  if (by->bytes() != "key" && by->bytes() != "value")
    return run.fail(FaultKind::refused, "FilterArgumentError", "You can only sort by either \"key\" or \"value\"");
  if (value.is_undefined()) return run.use_of(value);
  if (!value.is(Kind::dict))
    return run.fail(FaultKind::python, "AttributeError",
                    fmt::format("'{}' object has no attribute 'items'", type_name(value)));
  std::vector<Value> pairs, keys;
  for (const auto& [key, item] : value.as<Dict>().entries()) {
    pairs.push_back(run.tuple({key, item}));
    const Value& sorted_by = by->bytes() == "key" ? key : item;
    keys.push_back(a.truth(0) ? sorted_by : ignore_case(run, sorted_by));
  }
  if (run.ok()) sort_by(run, pairs, keys, a.truth(2));
  return run.list(std::move(pairs));
}

template <bool Max>
Value extreme(Run& run, const Value& value, const Args& args) {
  const Bound<2> a(run, args, Max ? "do_max" : "do_min", {"case_sensitive", "attribute"});
  const auto walk = a ? iterate(run, value) : nullptr;
  if (walk == nullptr) return {};
  const ItemPath path(run, a[1]);
  Value best, best_key, item;
  bool some = false;
  while (run.ok() && walk->next(run, item)) {
    Value key = path.follow(run, item);
    if (!a.truth(0)) key = ignore_case(run, key);
    if (!some || (run.ok() && compare(run, Max ? Comparison::gt : Comparison::lt, key, best_key))) {
      best = item;
      best_key = key;
    }
    some = true;
  }
  return some || !run.ok() ? best : run.undefined("No aggregated item, sequence was empty.");
}

Value sum(Run& run, const Value& value, const Args& args) {
  const Bound<2> a(run, args, "do_sum", {"attribute", "start"});
  if (!a) return {};
  const ItemPath path(run, a[0]);
  Value total = a.value_or(1, Value(0));
  if (total.is_text()) return run.type_error("sum() can't sum strings [use ''.join(seq) instead]");
  const auto walk = iterate(run, value);
  for (Value item; walk != nullptr && run.ok() && walk->next(run, item);)
    total = arithmetic(run, Arithmetic::add, total, path.follow(run, item));
  return total;
}

Value groupby(Run& run, const Value& value, const Args& args) {
  const Bound<3> a(run, args, "do_groupby", {"attribute", "default", "case_sensitive"}, 1);
  if (!a) return {};
  const ItemPath path(run, a[0]);
  const Value absent = a.value_or(1, Value());
  std::vector<Value> items = to_vector(run, value), keys, order;
  for (const Value& item : items) {
    Value key = path.follow(run, item, absent);
    keys.push_back(a.truth(2) ? key : ignore_case(run, key));
    order.push_back(static_cast<std::int64_t>(order.size()));
  }
  if (run.ok()) sort_by(run, order, keys, false);
  std::vector<Value> groups;
  for (std::size_t begin = 0, end = 0; begin < order.size() && run.ok(); begin = end) {
    const auto key_of = [&](std::size_t i) -> const Value& {
      return keys[static_cast<std::size_t>(order[i].integer())];
    };
    std::vector<Value> members;
    for (end = begin; end < order.size() && run.walk(key_of(end)) && equal(key_of(end), key_of(begin)); ++end)
      members.push_back(items[static_cast<std::size_t>(order[end].integer())]);
    // A key that does not equal itself is a group of its own.
    if (end == begin) members.push_back(items[static_cast<std::size_t>(order[end++].integer())]);
    const Value key = a.truth(2) ? key_of(begin) : path.follow(run, members[0], absent);
    groups.push_back(run.tuple({key, run.list(std::move(members))}));
    if (run.ok()) groups.back().as<List>().group = true;
  }
  return run.list(std::move(groups));
}

Value attr(Run& run, const Value& value, const Args& args) {
  const Bound<1> a(run, args, "do_attr", {"name"}, 1);
  const TextPtr name = a ? a.text(0) : nullptr;
  if (name == nullptr) return {};
  const Attribute found = find_attribute(run, value, name->bytes());
  if (!run.ok()) return {};
  if (!found.unsafe && value.is_undefined()) return run.use_of(value);
  if (found.unsafe || !found.value.is_missing()) return get_attribute(run, value, name->bytes());
  return run.undefined(fmt::format("'{} object' has no attribute {}", type_name(value), repr_of(name->bytes())));
}

constexpr MethodRow kListFilters[] = {{"attr", attr},
                                      {"count", length_filter},
                                      {"d", default_filter},
                                      {"default", default_filter},
                                      {"dictsort", dictsort},
                                      {"first", first},
                                      {"groupby", groupby},
                                      {"join", join},
                                      {"last", last},
                                      {"length", length_filter},
                                      {"list", list},
                                      {"max", extreme<true>},
                                      {"min", extreme<false>},
                                      {"random", nullptr},
                                      {"reverse", reverse},
                                      {"sort", sort},
                                      {"sum", sum},
                                      {"tojson", tojson_filter}};

}  // namespace

Value length_filter(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "len", {});
  if (!a) return {};
  if (value.is(Kind::loop)) return loop_attribute(run, value, "length");
  const std::int64_t length = length_of(value);
  return length >= 0 ? Value(length) : run.type_error("object of type '{}' has no len()", type_name(value));
}

std::span<const MethodRow> list_filters() { return kListFilters; }

}  // namespace moe::inline MOE_ABI::chat

// Methods of list, tuple, range and dict that change nothing.

#include "chat/arguments.hpp"
#include "chat/attributes.hpp"
#include "chat/globals.hpp"
#include "chat/iterate.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

Value count_items(Run& run, const Value& self, const Args& args) {
  const Bound<1> a(run, args, "count", {"value"}, 1, Naming::positional_only);
  if (!a || !run.walk(self)) return {};
  std::int64_t count = 0;
  for (const Value& item : to_vector(run, self)) count += equal(item, a[0]) ? 1 : 0;
  return count;
}

Value index_of_item(Run& run, const Value& self, const Args& args) {
  const Bound<3> a(run, args, "index", {"value", "start", "stop"}, 1, Naming::positional_only);
  if (!a || !run.walk(self)) return {};
  const std::vector<Value> items = to_vector(run, self);
  const auto length = static_cast<std::int64_t>(items.size());
  const auto clip = [&](std::int64_t i) { return std::max<std::int64_t>(i < 0 ? i + length : i, 0); };
  const std::int64_t start = clip(a.index(1, 0)), stop = std::min(clip(a.index(2, length)), length);
  for (std::int64_t i = start; i < stop; ++i)
    if (equal(items[static_cast<std::size_t>(i)], a[0])) return i;
  if (!run.ok()) return {};
  return run.value_error("the value is not in the {}", type_name(self));
}

Value copy_of(Run& run, const Value& self, const Args& args) {
  const Bound<0> a(run, args, "copy", {}, 0);
  return a ? self : Value();
}

constexpr MethodRow kSequenceMethods[] = {{"copy", copy_of}, {"count", count_items}, {"index", index_of_item}};

Value dict_get(Run& run, const Value& self, const Args& args) {
  const Bound<2> a(run, args, "get", {"key", "default"}, 1, Naming::positional_only);
  if (!a) return {};
  if (!hashable(a[0])) return run.type_error("unhashable type: '{}'", type_name(a[0]));
  if (!run.walk(a[0])) return {};
  const Value* found = self.as<Dict>().find(a[0]);
  return found != nullptr ? *found : a.value_or(1, Value());
}

template <ViewOf Of>
Value dict_view(Run& run, const Value& self, const Args& args) {
  const Bound<0> a(run, args, "the method", {}, 0);
  if (!a) return {};
  return Value(Kind::view, run.make<View>(0, self.share<Dict>(), Of));
}

Value from_keys(Run& run, const Value&, const Args& args) { return dict_from_keys(run, args); }

constexpr MethodRow kDictMethods[] = {{"copy", copy_of},
                                      {"fromkeys", from_keys},
                                      {"get", dict_get},
                                      {"items", dict_view<ViewOf::items>},
                                      {"keys", dict_view<ViewOf::keys>},
                                      {"values", dict_view<ViewOf::values>}};

template <std::size_t N>
const MethodRow* find(const MethodRow (&rows)[N], std::string_view name) {
  for (const MethodRow& row : rows)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace

const MethodRow* find_sequence_method(std::string_view name) { return find(kSequenceMethods, name); }
const MethodRow* find_dict_method(std::string_view name) { return find(kDictMethods, name); }

}  // namespace moe::inline MOE_ABI::chat

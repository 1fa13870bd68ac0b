// Filters that choose or change items one by one: map, select, reject, unique, batch, slice. All are generators:
// items are evaluated on demand, and only once.

#include "chat/arguments.hpp"
#include "chat/filters.hpp"
#include "chat/item_path.hpp"
#include "chat/iterate.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

Value argument_error(Run& run, std::string message) {
  return run.fail(FaultKind::refused, "FilterArgumentError", std::move(message));
}

// The iterator of `source`, made when the first item is asked for; an empty one for false values.
class Source {
 public:
  explicit Source(Value value) : value_(std::move(value)) {}
  bool next(Run& run, Value& item) {
    if (walk_ == nullptr && !started_) {
      started_ = true;
      if (skip_false && !truthy(value_)) return false;
      walk_ = iterate(run, value_);
    }
    return walk_ != nullptr && walk_->next(run, item);
  }
  bool skip_false = false;

 private:
  Value value_;
  std::shared_ptr<Iterator> walk_;
  bool started_ = false;
};

Args shifted(const Args& args, std::size_t from) {
  Args rest;
  rest.positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(from), args.positional.end());
  rest.named = args.named;
  return rest;
}

/// What map does to each item.
struct Mapping {
  std::optional<ItemPath> path;
  Value absent;
  Value filter;
  Args args;

  bool prepare(Run& run, const Args& given) {
    if (given.positional.empty() && given.named_value("attribute") != nullptr) {
      path.emplace(run, *given.named_value("attribute"));
      for (const auto& [name, value] : given.named) {
        if (name == "default")
          absent = value;
        else if (name != "attribute")
          argument_error(run, fmt::format("Unexpected keyword argument {}", repr_of(name)));
      }
    } else if (given.positional.empty()) {
      argument_error(run, "map requires a filter argument");
    } else {
      filter = given.positional[0];
      args = shifted(given, 1);
    }
    return run.ok();
  }
  Value apply(Run& run, const Value& item) const {
    return path ? path->follow(run, item, absent) : apply_filter(run, filter, item, args);
  }
};

Value map_filter(Run& run, const Value& value, const Args& args) {
  Source source(value);
  source.skip_false = true;
  const auto step = [source, args, mapping = std::shared_ptr<Mapping>()](Run& r, Value& item) mutable {
    // The arguments are checked only if the value is true, as in jinja2.
    Value next;
    if (mapping == nullptr) {
      mapping = std::make_shared<Mapping>();
      if (!source.next(r, next)) return r.ok() && false;
      if (!mapping->prepare(r, args)) return false;
    } else if (!source.next(r, next)) {
      return false;
    }
    item = mapping->apply(r, next);
    return r.ok();
  };
  return run.iterator(generate("generator", step), value);
}

/// Which items select and its kin keep.
struct Choice {
  std::optional<ItemPath> path;
  std::optional<Value> test;
  Args args;

  bool prepare(Run& run, const Args& given, bool with_attribute) {
    const std::size_t first = with_attribute ? 1 : 0;
    if (with_attribute) {
      if (given.positional.empty())
        argument_error(run, "Missing parameter for attribute name");
      else
        path.emplace(run, given.positional[0]);
    }
    if (run.ok() && given.positional.size() > first) {
      test = given.positional[first];
      args = shifted(given, first + 1);
    }
    return run.ok();
  }
  bool holds(Run& run, const Value& item) const {
    const Value subject = path ? path->follow(run, item) : item;
    if (!run.ok()) return false;
    return test ? apply_test(run, *test, subject, args) : truthy(subject);
  }
};

template <bool Keep, bool WithAttribute>
Value choose(Run& run, const Value& value, const Args& args) {
  Source source(value);
  source.skip_false = true;
  const auto step = [source, args, choice = std::shared_ptr<Choice>()](Run& r, Value& item) mutable {
    for (Value next; source.next(r, next);) {
      if (choice == nullptr) {
        choice = std::make_shared<Choice>();
        if (!choice->prepare(r, args, WithAttribute)) return false;
      }
      const bool kept = choice->holds(r, next) == Keep;
      if (!r.ok()) return false;
      if (!kept) continue;
      item = next;
      return true;
    }
    return false;
  };
  return run.iterator(generate("generator", step), value);
}

Value unique(Run& run, const Value& value, const Args& args) {
  const Bound<2> a(run, args, "unique", {"case_sensitive", "attribute"});
  if (!a) return {};
  const auto path = std::make_shared<ItemPath>(run, a[1]);
  const auto step = [source = Source(value), path, sensitive = a.truth(0), seen = std::make_shared<Dict>()](
                        Run& r, Value& item) mutable {
    for (Value next; source.next(r, next);) {
      Value key = path->follow(r, next);
      if (!sensitive) key = ignore_case(r, key);
      if (r.ok() && !hashable(key)) r.type_error("unhashable type: '{}'", type_name(key));
      if (!r.ok() || !r.walk(key)) return false;
      if (seen->find(key) != nullptr) continue;
      seen->set(key, {});
      item = next;
      return true;
    }
    return false;
  };
  return run.iterator(generate("generator", step), value);
}

Value items_filter(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "do_items", {});
  if (!a) return {};
  const auto step = [value, walk = std::shared_ptr<Iterator>(), ended = false](Run& r, Value& item) mutable {
    if (ended || value.is_undefined()) return false;
    if (!value.is(Kind::dict)) return r.type_error("Can only get item pairs from a mapping."), false;
    if (walk == nullptr) walk = iterate(r, Value(Kind::view, r.make<View>(0, value.share<Dict>(), ViewOf::items)));
    ended = walk == nullptr || !walk->next(r, item);
    return !ended;
  };
  return run.iterator(generate("generator", step), value);
}

Value batch(Run& run, const Value& value, const Args& args) {
  const Bound<2> a(run, args, "do_batch", {"linecount", "fill_with"}, 1);
  if (!a) return {};
  const auto step = [source = Source(value), size = a[0], fill = a.value_or(1, Value()), held = std::vector<Value>(),
                     ended = false](Run& r, Value& item) mutable {
    if (ended) return false;
    for (Value next; source.next(r, next);) {
      const bool full = equal(Value(static_cast<std::int64_t>(held.size())), size);
      if (full) item = r.list(std::move(held));
      if (full) held.clear();
      held.push_back(next);
      if (full) return r.ok();
    }
    ended = true;
    if (!r.ok() || held.empty()) return false;
    if (!fill.is_none() && !size.is_undefined()) {
      const auto wanted = as_index(r, size);
      while (r.step() && wanted && static_cast<std::int64_t>(held.size()) < *wanted) held.push_back(fill);
    }
    item = r.list(std::move(held));
    return r.ok();
  };
  return run.iterator(generate("generator", step), value);
}

Value slice_filter(Run& run, const Value& value, const Args& args) {
  const Bound<2> a(run, args, "do_slice", {"slices", "fill_with"}, 1);
  if (!a) return {};
  struct State {
    std::vector<Value> items;
    std::int64_t slices = -1, at = 0, offset = 0;
  };
  const auto step = [value, count = a[0], fill = a.value_or(1, Value()), state = State()](Run& r, Value& item) mutable {
    State& s = state;
    if (s.slices < 0) {
      s.items = to_vector(r, value);
      const auto wanted = r.ok() ? as_index(r, count) : std::nullopt;
      if (wanted && *wanted == 0) r.fail(FaultKind::python, "ZeroDivisionError", "integer division or modulo by zero");
      if (!wanted || !r.ok()) return false;
      s.slices = std::max<std::int64_t>(*wanted, 0);
    }
    if (s.at >= s.slices) return false;
    const auto length = static_cast<std::int64_t>(s.items.size());
    const std::int64_t each = length / s.slices, extra = length % s.slices;
    const std::int64_t begin = s.offset + s.at * each;
    if (s.at < extra) ++s.offset;
    const std::int64_t end = s.offset + (s.at + 1) * each;
    std::vector<Value> part(s.items.begin() + begin, s.items.begin() + end);
    if (!fill.is_none() && s.at >= extra) part.push_back(fill);
    ++s.at;
    item = r.list(std::move(part));
    return r.ok();
  };
  return run.iterator(generate("generator", step), value);
}

constexpr MethodRow kSelectFilters[] = {{"batch", batch},
                                        {"items", items_filter},
                                        {"map", map_filter},
                                        {"reject", choose<false, false>},
                                        {"rejectattr", choose<false, true>},
                                        {"select", choose<true, false>},
                                        {"selectattr", choose<true, true>},
                                        {"slice", slice_filter},
                                        {"unique", unique}};

}  // namespace

std::span<const MethodRow> select_filters() { return kSelectFilters; }

}  // namespace moe::inline MOE_ABI::chat

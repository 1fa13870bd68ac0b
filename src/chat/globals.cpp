#include "chat/globals.hpp"

#include "chat/arguments.hpp"
#include "chat/attributes.hpp"
#include "chat/datetime.hpp"
#include "chat/iterate.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

bool put(Run& run, Dict& dict, const Value& key, const Value& value) {
  if (!hashable(key)) return run.type_error("unhashable type: '{}'", type_name(key)), false;
  if (!run.step() || !run.walk(key)) return false;
  dict.set(key, value);
  return true;
}

// dict(mapping or pairs, **names).
std::shared_ptr<Dict> make_dict(Run& run, const Args& args) {
  auto dict = std::make_shared<Dict>();
  if (args.positional.size() > 1) {
    run.type_error("dict expected at most 1 argument, got {}", args.positional.size());
    return dict;
  }
  if (!args.positional.empty() && args.positional[0].is_undefined()) run.use_of(args.positional[0]);
  if (!run.ok()) return dict;
  if (!args.positional.empty() && args.positional[0].is(Kind::dict)) {
    for (const auto& [key, value] : args.positional[0].as<Dict>().entries())
      if (!put(run, *dict, key, value)) break;
  } else if (!args.positional.empty()) {
    const auto walk = iterate(run, args.positional[0]);
    for (Value pair; walk != nullptr && run.ok() && walk->next(run, pair);) {
      if (!is_iterable(pair)) {
        run.type_error("cannot convert dictionary update sequence element to a sequence");
        break;
      }
      const std::vector<Value> two = to_vector(run, pair);
      if (run.ok() && two.size() != 2)
        run.value_error("dictionary update sequence element has length {}; 2 is required", two.size());
      if (!run.ok() || !put(run, *dict, two[0], two[1])) break;
    }
  }
  for (const auto& [name, value] : args.named)
    if (!put(run, *dict, run.text(name), value)) break;
  return dict;
}

Value range(Run& run, const Value&, const Args& args) {
  const Bound<3> a(run, args, "range", {"start", "stop", "step"}, 1, Naming::positional_only);
  if (!a) return {};
  const bool single = !a.has(1);
  const std::int64_t start = single ? 0 : a.index(0, 0), stop = single ? a.index(0, 0) : a.index(1, 0);
  const std::int64_t step = a.index(2, 1);
  if (!run.ok()) return {};
  if (step == 0) return run.value_error("range() arg 3 must not be zero");
  auto made = run.make<Range>(0, start, stop, step);
  if (made->length > run.limits.range_items)
    return run.fail(
        FaultKind::python, "OverflowError",
        fmt::format("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", run.limits.range_items));
  return Value(Kind::range, std::move(made));
}

Value make_namespace(Run& run, const Value&, const Args& args) {
  auto attributes = make_dict(run, args);
  for (const auto& [key, value] : attributes->entries())
    if (key.is_text() && key.text().bytes().substr(0, 1) == "_")
      return run.fail(FaultKind::refused, "SecurityError",
                      fmt::format("Chat templates cannot store underscore-prefixed attributes on a namespace, but got "
                                  "{}. Please rename the attribute.",
                                  repr_of(key.text().bytes())));
  if (!run.ok()) return {};
  const std::size_t bytes = attributes->size() * 2 * sizeof(Value) + sizeof(Dict);
  auto space = run.make<Space>(bytes);
  space->attributes = std::move(attributes);
  run.keep(space);
  return Value(Kind::space, std::move(space));
}

Value raise_exception(Run& run, const Value&, const Args& args) {
  const Bound<1> a(run, args, "raise_exception", {"message"}, 1);
  if (!a) return {};
  const TextPtr message = to_text(run, a[0]);
  return run.fail(FaultKind::refused, "TemplateError", std::string(message->bytes()));
}

Value strftime_now(Run& run, const Value&, const Args& args) {
  const Bound<1> a(run, args, "strftime_now", {"format"}, 1);
  const TextPtr format = a ? a.text(0) : nullptr;
  if (format == nullptr) return {};
  if (run.now == nullptr) return run.unsupported("the template asks for the date, and none was given");
  if (!run.text_fits(format->bytes().size() * 32)) return {};
  return run.text(format_time(format->bytes(), *run.now));
}

class DictMaker : public Thing {
 public:
  std::string_view type_name() const override { return "TemplateDict"; }
  bool callable() const override { return true; }
  Value call(Run& run, const Args& args) override {
    auto dict = make_dict(run, args);
    return run.ok() ? run.dict(std::move(dict)) : Value();
  }
  Value attribute(Run& run, std::string_view name) override {
    if (name != "fromkeys") return Value::missing();
    return bind_method(run, name, [](Run& r, const Value&, const Args& args) { return dict_from_keys(r, args); }, {});
  }
};

class Cycler : public Thing {
 public:
  explicit Cycler(const Value& items) : items_(items) { depth = 1 + depth_of(items); }
  std::string_view type_name() const override { return "Cycler"; }
  Value attribute(Run& run, std::string_view name) override {
    if (name == "items") return items_;
    if (name == "pos") return static_cast<std::int64_t>(at_);
    if (name == "current") return items_.items()[at_];
    if (name == "next" || name == "reset") {
      // The cycler is known as its own value, so that the method keeps it alive.
      const Value self(Kind::thing, self_.lock());
      return bind_method(run, name, name == "next" ? next : reset, self);
    }
    return Value::missing();
  }
  std::weak_ptr<Cycler> self_;

 private:
  static Value next(Run&, const Value& self, const Args&) {
    auto& cycler = self.as<Cycler>();
    const Value item = cycler.items_.items()[cycler.at_];
    cycler.at_ = (cycler.at_ + 1) % cycler.items_.items().size();
    return item;
  }
  static Value reset(Run&, const Value& self, const Args&) {
    self.as<Cycler>().at_ = 0;
    return {};
  }
  Value items_;
  std::size_t at_ = 0;
};

Value make_cycler(Run& run, const Value&, const Args& args) {
  if (!args.named.empty()) return run.type_error("Cycler() got an unexpected keyword argument");
  if (args.positional.empty())
    return run.fail(FaultKind::python, "RuntimeError", "at least one item has to be provided");
  auto cycler = run.make<Cycler>(0, run.tuple(args.positional));
  cycler->self_ = cycler;
  return run.ok() ? Value(Kind::thing, std::move(cycler)) : Value();
}

class Joiner : public Thing {
 public:
  explicit Joiner(const Value& separator) : separator_(separator) { depth = 1 + depth_of(separator); }
  std::string_view type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Value call(Run& run, const Args&) override {
    if (used_) return separator_;
    used_ = true;
    return run.text({});
  }
  Value attribute(Run&, std::string_view name) override {
    if (name == "sep") return separator_;
    if (name == "used") return used_;
    return Value::missing();
  }

 private:
  Value separator_;
  bool used_ = false;
};

Value make_joiner(Run& run, const Value&, const Args& args) {
  const Bound<1> a(run, args, "Joiner", {"sep"});
  if (!a) return {};
  return Value(Kind::thing, run.make<Joiner>(0, a.value_or(0, run.text(", "))));
}

Value lipsum(Run& run, const Value&, const Args&) { return run.unsupported("lipsum() is random"); }

constexpr MethodRow kGlobals[] = {{"cycler", make_cycler},
                                  {"joiner", make_joiner},
                                  {"lipsum", lipsum},
                                  {"namespace", make_namespace},
                                  {"raise_exception", raise_exception},
                                  {"range", range},
                                  {"strftime_now", strftime_now}};

}  // namespace

Value find_global(Run& run, std::string_view name) {
  if (name == "dict") return Value(Kind::thing, run.make<DictMaker>(0));
  for (const MethodRow& row : kGlobals)
    if (row.name == name) return bind_method(run, name, row.call, {});
  return Value::missing();
}

Value dict_from_keys(Run& run, const Args& args) {
  const Bound<2> a(run, args, "fromkeys", {"iterable", "value"}, 1, Naming::positional_only);
  const auto walk = a ? iterate(run, a[0]) : nullptr;
  auto dict = std::make_shared<Dict>();
  for (Value key; walk != nullptr && run.ok() && walk->next(run, key);)
    if (!put(run, *dict, key, a.value_or(1, Value()))) break;
  return run.ok() ? run.dict(std::move(dict)) : Value();
}

}  // namespace moe::inline MOE_ABI::chat

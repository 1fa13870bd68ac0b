#include "chat/attributes.hpp"

#include <algorithm>
#include <cmath>

#include "chat/loop.hpp"
#include "chat/number.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

class BoundMethod : public Function {
 public:
  BoundMethod(Method method, Value self) : method_(method), self_(std::move(self)) { depth = 1 + depth_of(self_); }
  Value call(Run& run, const Args& args) override { return method_(run, self_, args); }
  std::string_view type_name() const override { return "builtin_function_or_method"; }

 private:
  Method method_;
  Value self_;
};

bool any_of(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Attributes of every Python object; all are unsafe.
bool is_special(std::string_view name) {
  if (name.size() < 5 || name.substr(0, 2) != "__") return false;
  return any_of({"__class__",   "__delattr__", "__dir__",           "__doc__",         "__eq__",
                 "__format__",  "__ge__",      "__getattribute__",  "__getstate__",    "__gt__",
                 "__hash__",    "__init__",    "__init_subclass__", "__le__",          "__lt__",
                 "__ne__",      "__new__",     "__reduce__",        "__reduce_ex__",   "__repr__",
                 "__setattr__", "__sizeof__",  "__str__",           "__subclasshook__"},
                name);
}

bool is_container_special(std::string_view name) {
  return any_of({"__contains__", "__getitem__", "__iter__", "__len__", "__add__", "__mul__", "__rmul__"}, name);
}

Attribute method_attribute(Run& run, const MethodRow* row, const Value& self) {
  if (row == nullptr) return {};
  if (row->call == nullptr) {
    run.unsupported("the method {} of a {} is not known here", row->name, type_name(self));
    return {};
  }
  return {bind_method(run, row->name, row->call, self), false};
}

Value number_method(Run& run, const Value& self, const Args& args) {
  if (!args.positional.empty() || !args.named.empty()) return run.type_error("the method takes no arguments");
  return self.is_integer() ? Value(self.integer()) : self;
}
Value is_integer(Run&, const Value& self, const Args&) { return std::trunc(self.real()) == self.real(); }
Value bit_length(Run&, const Value& self, const Args&) {
  const auto bits_of = static_cast<std::uint64_t>(self.integer());
  std::uint64_t rest = self.integer() < 0 ? 0 - bits_of : bits_of;
  std::int64_t bits = 0;
  for (; rest != 0; rest >>= 1) ++bits;
  return bits;
}

Attribute number_attribute(Run& run, const Value& self, std::string_view name) {
  if (name == "real") return {self.is_integer() ? Value(self.integer()) : self, false};
  if (name == "imag") return {self.is_integer() ? Value(0) : Value(0.0), false};
  if (name == "conjugate") return {bind_method(run, name, number_method, self), false};
  if (self.is(Kind::real)) {
    if (name == "is_integer") return {bind_method(run, name, is_integer, self), false};
    if (any_of({"as_integer_ratio", "fromhex", "hex"}, name))
      run.unsupported("the method {} of a float is not known here", name);
    return {};
  }
  if (name == "numerator") return {self.integer(), false};
  if (name == "denominator") return {1, false};
  if (name == "bit_length") return {bind_method(run, name, bit_length, self), false};
  if (any_of({"as_integer_ratio", "bit_count", "from_bytes", "to_bytes"}, name))
    run.unsupported("the method {} of an int is not known here", name);
  return {};
}

Attribute dict_attribute(Run& run, const Value& self, std::string_view name) {
  if (any_of({"clear", "pop", "popitem", "setdefault", "update"}, name)) return {Value::missing(), true};
  return method_attribute(run, find_dict_method(name), self);
}

Attribute sequence_attribute(Run& run, const Value& self, std::string_view name) {
  const bool list = self.is(Kind::list);
  if (list && any_of({"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"}, name))
    return {Value::missing(), true};
  if (!list && name == "copy") return {};
  if (!list && self.as<List>().group) {
    if (name == "grouper") return {self.items()[0], false};
    if (name == "list") return {self.items()[1], false};
  }
  return method_attribute(run, find_sequence_method(name), self);
}

Attribute range_attribute(Run& run, const Value& self, std::string_view name) {
  const auto& range = self.as<Range>();
  if (name == "start") return {range.start, false};
  if (name == "stop") return {range.stop, false};
  if (name == "step") return {range.step, false};
  return name == "copy" ? Attribute{} : method_attribute(run, find_sequence_method(name), self);
}

Attribute iterator_attribute(Run& run, const Value& self, std::string_view name) {
  if (self.as<Iterator>().type_name != "generator") return {};
  if (any_of({"gi_frame", "gi_code"}, name)) return {Value::missing(), true};
  if (any_of({"close", "send", "throw", "gi_running", "gi_suspended", "gi_yieldfrom"}, name))
    run.unsupported("the attribute {} of a generator is not known here", name);
  return {};
}

}  // namespace

Value bind_method(Run& run, std::string_view, Method method, const Value& self) {
  auto bound = run.make<BoundMethod>(0, method, self);
  if (bound->depth > run.limits.value_depth)
    return run.fail(FaultKind::limit, {},
                    fmt::format("values are nested deeper than {} levels", run.limits.value_depth));
  return Value(Kind::function, std::move(bound));
}

Attribute find_attribute(Run& run, const Value& object, std::string_view name) {
  if (object.is(Kind::space)) {
    if (name == "__class__") return {Value::missing(), true};
    const Value* found = object.as<Space>().attributes->find(name);
    return found != nullptr ? Attribute{*found, false} : Attribute{};
  }
  if (!name.empty() && name[0] == '_') {
    const bool container = object.is_undefined() || object.is_text() || object.is_sequence() || object.is(Kind::dict) ||
                           object.is(Kind::range);
    return {Value::missing(), is_special(name) || (container && is_container_special(name))};
  }
  switch (object.kind()) {
    case Kind::text: return method_attribute(run, find_str_method(name), object);
    case Kind::list:
    case Kind::tuple: return sequence_attribute(run, object, name);
    case Kind::dict: return dict_attribute(run, object, name);
    case Kind::boolean:
    case Kind::integer:
    case Kind::real: return number_attribute(run, object, name);
    case Kind::range: return range_attribute(run, object, name);
    case Kind::iterator: return iterator_attribute(run, object, name);
    case Kind::view:
      if (any_of({"isdisjoint", "mapping"}, name))
        run.unsupported("the attribute {} of a view is not known here", name);
      return {};
    case Kind::loop: return {loop_attribute(run, object, name), false};
    case Kind::function: return {object.as<Function>().attribute(run, name), false};
    case Kind::thing: return {object.as<Thing>().attribute(run, name), false};
    default: return {};
  }
}

}  // namespace moe::inline MOE_ABI::chat

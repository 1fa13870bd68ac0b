#pragma once
// Attributes of Python objects, and those that the sandbox allows.

#include "chat/run.hpp"

namespace moe::inline MOE_ABI::chat {

struct Attribute {
  Value value = Value::missing();  ///< missing: there is no such attribute
  bool unsafe = false;             ///< it exists, and using it is a SecurityError
};
Attribute find_attribute(Run& run, const Value& object, std::string_view name);

/// A method: `self` and the arguments.
using Method = Value (*)(Run&, const Value& self, const Args&);
struct MethodRow {
  std::string_view name;
  Method call;  ///< null: known to jinja2, not implemented here
};
/// The method bound to `self`, as a value.
Value bind_method(Run& run, std::string_view name, Method method, const Value& self);

const MethodRow* find_str_method(std::string_view name);
const MethodRow* find_sequence_method(std::string_view name);
const MethodRow* find_dict_method(std::string_view name);

}  // namespace moe::inline MOE_ABI::chat

#pragma once
// Python's operators, subscripts and attributes.

#include "chat/run.hpp"

namespace moe::inline MOE_ABI::chat {

enum class Arithmetic : std::uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };
Value arithmetic(Run& run, Arithmetic op, const Value& a, const Value& b);
Value negate(Run& run, const Value& value);
Value plus(Run& run, const Value& value);

enum class Comparison : std::uint8_t { eq, ne, lt, le, gt, ge, in, not_in };
bool compare(Run& run, Comparison op, const Value& a, const Value& b);
/// a < b.
inline bool less(Run& run, const Value& a, const Value& b) { return compare(run, Comparison::lt, a, b); }

/// obj[key] as the sandbox does it: the item, else an attribute of that name, else an undefined value.
Value get_item(Run& run, const Value& object, const Value& key);
Value get_item(Run& run, const Value& object, std::string_view key);
/// obj.name: the attribute, else the item, else an undefined value.
Value get_attribute(Run& run, const Value& object, std::string_view name);
/// obj[start:stop:step]; absent bounds are None.
Value slice(Run& run, const Value& object, const Value& start, const Value& stop, const Value& step);

/// A whole number for an argument, as operator.index(): ints and bools only.
std::optional<std::int64_t> as_index(Run& run, const Value& value);
/// Calls anything.
Value call_value(Run& run, const Value& callee, const Args& args);

/// Sorts stably by `<` of the keys; `values` and `keys` have the same length.
void sort_by(Run& run, std::vector<Value>& values, const std::vector<Value>& keys, bool reverse);

}  // namespace moe::inline MOE_ABI::chat

#pragma once
// Keyword arguments: the value, or a TypeError that says what was expected.

#include <cstdint>
#include <string>
#include <string_view>

#include "bindings.hpp"
#include "errors.hpp"

namespace moe_python {

[[noreturn]] inline void raise_wrong(std::string_view name, nb::handle value, const char* expected) {
  raise_type_error(std::string(name) + ": expected " + expected + ", found " + nb::repr(value).c_str());
}

template <class T>
T value_of(std::string_view name, nb::handle value, const char* expected) {
  T out{};
  if (!nb::try_cast(value, out)) raise_wrong(name, value, expected);
  return out;
}

/// A whole number, as Python's own functions take one (__index__): no float, no text, and not True either.
inline std::int64_t integer(std::string_view name, nb::handle v) {
  const auto found = nb::steal(nb::isinstance<nb::bool_>(v) ? nullptr : PyNumber_Index(v.ptr()));
  PyErr_Clear();
  std::int64_t out = 0;
  if (!found.is_valid()) raise_wrong(name, v, "an integer");
  if (!nb::try_cast(found, out, false))
    raise(moe::ErrorCode::bad_argument,
          std::string(name) + " is " + nb::repr(v).c_str() + ", expected 64 bits at most");
  return out;
}

inline double number(std::string_view name, nb::handle v) {
  if (nb::isinstance<nb::bool_>(v)) raise_wrong(name, v, "a number");
  const double out = PyFloat_AsDouble(v.ptr());
  if (out == -1.0 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    raise_wrong(name, v, "a number");
  }
  return out;
}

inline bool flag(std::string_view name, nb::handle v) { return value_of<bool>(name, v, "True or False"); }
inline std::string text(std::string_view name, nb::handle v) { return value_of<std::string>(name, v, "a text"); }

/// Reads a keyword argument into an options struct.
template <class Into>
struct Keyword {
  std::string_view name;
  void (*set)(Into& into, std::string_view name, nb::handle value);
};

/// Sets the option `name`; False if it is unknown.
template <class Into, class Keywords>
bool set_keyword(const Keywords& keywords, Into& into, std::string_view name, nb::handle value) {
  for (const Keyword<Into>& keyword : keywords) {
    if (keyword.name != name) continue;
    keyword.set(into, keyword.name, value);
    return true;
  }
  return false;
}

template <class Keywords>
[[noreturn]] void raise_unexpected(const Keywords& keywords, const std::string& name) {
  std::string all;
  for (const auto& keyword : keywords) all += (all.empty() ? "" : ", ") + std::string(keyword.name);
  raise_type_error("unexpected keyword argument '" + name + "', expected one of " + all);
}

}  // namespace moe_python

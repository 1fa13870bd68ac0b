#pragma once
// From the library's errors, which are values, to Python's exceptions (libmoe/_errors.py).

#include <string>
#include <type_traits>
#include <utility>

#include "bindings.hpp"
#include "moe/error.hpp"

namespace moe_python {

/// The exception object of this error: libmoe.Error, or the subclass for its code.
nb::object exception_of(const moe::Error& error);
[[noreturn]] void raise(const moe::Error& error);
[[noreturn]] void raise(moe::ErrorCode code, std::string message);
/// A wrong type is a TypeError and not a libmoe.Error, as usual in Python.
[[noreturn]] void raise_type_error(const std::string& message);

template <class T>
T unwrap(moe::Result<T> result) {
  if (!result) raise(result.error());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// The value of an enum by its name_of(). Errors: bad_argument listing the names.
template <class Enum, std::size_t N>
Enum enum_of(const char* what, const std::string& name, const Enum (&values)[N]) {
  std::string known;
  for (const Enum value : values) {
    if (name_of(value) == name) return value;
    known += (known.empty() ? "'" : ", '") + std::string(name_of(value)) + "'";
  }
  raise(moe::ErrorCode::bad_argument, std::string(what) + " is '" + name + "', expected one of " + known);
}

}  // namespace moe_python

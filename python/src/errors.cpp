#include "errors.hpp"

namespace moe_python {

nb::object exception_of(const moe::Error& error) {
  // Imported each time, because a stored handle would outlive the interpreter.
  return nb::module_::import_("libmoe._errors")
      .attr("from_library")(std::string(name_of(error.code)), nb::str(error.message.data(), error.message.size()));
}

void raise(const moe::Error& error) {
  const nb::object exception = exception_of(error);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  throw nb::python_error();
}

void raise(moe::ErrorCode code, std::string message) { raise(moe::Error{code, std::move(message)}); }

void raise_type_error(const std::string& message) {
  PyErr_SetString(PyExc_TypeError, message.c_str());
  throw nb::python_error();
}

}  // namespace moe_python

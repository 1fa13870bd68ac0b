#include "ids.hpp"

#include <nanobind/ndarray.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "errors.hpp"

namespace moe_python {
namespace {

moe::TokenId checked(std::int64_t id, std::size_t position) {
  if (id < 0 || id > std::numeric_limits<moe::TokenId>::max())
    raise(moe::ErrorCode::bad_argument,
          "token " + std::to_string(position) + " is " + std::to_string(id) + ", expected 0 to 2147483647");
  return static_cast<moe::TokenId>(id);
}

std::string shown(nb::handle object) {
  const nb::str text = nb::repr(object);
  return nb::len(text) <= 60 ? std::string(text.c_str()) : std::string(nb::str(text[nb::slice(0, 57)]).c_str()) + "...";
}

template <class Number>
std::vector<moe::TokenId> copy(const nb::ndarray<nb::ro, nb::ndim<1>, nb::device::cpu>& array) {
  const auto* data = static_cast<const char*>(array.data());
  const std::int64_t stride = array.stride(0) * static_cast<std::int64_t>(sizeof(Number));
  std::vector<moe::TokenId> ids;
  ids.reserve(array.shape(0));
  for (std::size_t i = 0; i < array.shape(0); ++i) {
    const auto value = *reinterpret_cast<const Number*>(data + static_cast<std::int64_t>(i) * stride);
    ids.push_back(checked(static_cast<std::int64_t>(value), i));
  }
  return ids;
}

[[noreturn]] void wrong_ids(nb::handle object) {
  raise_type_error("token ids: expected a list or an array of integers, found " + shown(object));
}

moe::TokenId id_of(nb::handle item, std::size_t position) {
  const auto number = nb::steal(nb::isinstance<nb::bool_>(item) ? nullptr : PyNumber_Index(item.ptr()));
  PyErr_Clear();
  const std::string what = "token " + std::to_string(position) + " is ";
  if (!number.is_valid()) raise_type_error(what + shown(item) + ", expected an integer");
  std::int64_t id = 0;
  if (!nb::try_cast(number, id, false))
    raise(moe::ErrorCode::bad_argument, what + shown(item) + ", expected 0 to 2147483647");
  return checked(id, position);
}

std::vector<moe::TokenId> ids_of_array(nb::handle object) {
  nb::ndarray<nb::ro, nb::ndim<1>, nb::device::cpu> array;
  if (!nb::try_cast(object, array))
    raise_type_error("token ids: expected an array of integers with one dimension, found " + shown(object));
  if (array.dtype() == nb::dtype<std::int32_t>()) return copy<std::int32_t>(array);
  if (array.dtype() == nb::dtype<std::int64_t>()) return copy<std::int64_t>(array);
  if (array.dtype() == nb::dtype<std::uint32_t>()) return copy<std::uint32_t>(array);
  raise_type_error("token ids: expected an array of int32, int64 or uint32");
}

}  // namespace

std::vector<moe::TokenId> ids_of(nb::handle object) {
  if (nb::ndarray_check(object)) return ids_of_array(object);
  const bool is_text = nb::isinstance<nb::str>(object) || nb::isinstance<nb::bytes>(object);
  if (is_text || !nb::hasattr(object, "__iter__")) wrong_ids(object);
  std::vector<moe::TokenId> ids;
  for (nb::handle item : nb::iter(object)) ids.push_back(id_of(item, ids.size()));
  return ids;
}

std::string bytes_of(nb::str text) {
  Py_ssize_t size = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (bytes == nullptr) throw nb::python_error();
  return {bytes, static_cast<std::size_t>(size)};
}

nb::str text_of(std::string_view bytes) {
  PyObject* text = PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace");
  if (text == nullptr) throw nb::python_error();
  return nb::steal<nb::str>(text);
}

}  // namespace moe_python

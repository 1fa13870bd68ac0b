#pragma once
// Structs of the C interface. The caller's may be older (shorter) or newer (longer) than ours.

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "c/status.hpp"

namespace moe::inline MOE_ABI::c {

/// Larger sizes mean uninitialised memory.
inline constexpr std::uint32_t kMostStructBytes = 4096;

/// Fields come in steps of 8 bytes, so that no struct ends inside one.
inline Result<std::uint32_t> struct_size_of(const void* given, const char* name) {
  std::uint32_t size = 0;
  std::memcpy(&size, given, sizeof size);
  if (size < 8 || size % 8 != 0 || size > kMostStructBytes)
    return fail(
        ErrorCode::bad_argument,
        fmt::format("{0}.struct_size is {1}, expected sizeof({0}), as {0}_init or the caller sets it", name, size));
  return size;
}

/// The caller's values, and defaults beyond the end of the caller's struct.
template <class T>
Result<T> read_struct(const void* given, const char* name, const T& defaults) {
  static_assert(sizeof(T) % 8 == 0 && sizeof(T) <= kMostStructBytes);
  if (given == nullptr) return defaults;
  const auto size = struct_size_of(given, name);
  if (!size) return forward(size);
  const auto* bytes = static_cast<const char*>(given);
  for (std::size_t i = sizeof(T); i < *size; ++i)
    if (bytes[i] != 0)
      return fail(ErrorCode::bad_argument,
                  fmt::format("{} has a field at byte {} that this version of libmoe does not know, expected 0 there",
                              name, i / 8 * 8));
  T out = defaults;
  std::memcpy(&out, given, std::min<std::size_t>(*size, sizeof(T)));
  return out;
}

/// A result struct: checked before the work, written after it.
template <class T>
class StructOut {
 public:
  static Result<StructOut> create(T* given, const char* name) {
    static_assert(sizeof(T) % 8 == 0 && sizeof(T) <= kMostStructBytes);
    if (given == nullptr) return null_argument(name);
    const auto size = struct_size_of(given, name);
    if (!size) return forward(size);
    return StructOut(given, *size);
  }
  void write(T value) const {
    value.struct_size = size_;
    void* const bytes = given_;
    std::memcpy(bytes, &value, std::min<std::size_t>(size_, sizeof(T)));
    if (size_ > sizeof(T)) std::memset(static_cast<char*>(bytes) + sizeof(T), 0, size_ - sizeof(T));
  }

 private:
  StructOut(T* given, std::uint32_t size) : given_(given), size_(size) {}
  T* given_;
  std::uint32_t size_;
};

/// NAME_init: never more than the caller's bytes.
template <class T>
void init_struct(T* given, std::size_t size, const T& defaults) noexcept {
  if (given == nullptr || size < 8) return;
  size = std::min<std::size_t>(size, UINT32_MAX);
  const auto stated = static_cast<std::uint32_t>(size);
  void* const bytes = given;
  std::memcpy(bytes, &defaults, std::min(size, sizeof(T)));
  if (size > sizeof(T)) std::memset(static_cast<char*>(bytes) + sizeof(T), 0, size - sizeof(T));
  std::memcpy(bytes, &stated, sizeof stated);
}

/// Integers for a C++ enum whose values are consecutive from 0 in the same order.
template <class E>
Result<E> read_choice(std::int64_t value, E last, const char* name) {
  if (value < 0 || value > static_cast<std::int64_t>(last))
    return fail(ErrorCode::bad_argument,
                fmt::format("{} is {}, expected 0 to {}", name, value, static_cast<std::int64_t>(last)));
  return static_cast<E>(value);
}
inline Result<bool> read_flag(std::int64_t value, const char* name) {
  if (value != 0 && value != 1)
    return fail(ErrorCode::bad_argument, fmt::format("{} is {}, expected 0 or 1", name, value));
  return value == 1;
}

}  // namespace moe::inline MOE_ABI::c

#pragma once
// Texts and lists of the caller: input as (pointer, length), output as (buffer, capacity, needed length).

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "c/status.hpp"

namespace moe::inline MOE_ABI::c {

inline Result<std::string_view> read_text(const char* text, std::int64_t length, const char* name) {
  if (text == nullptr && length != 0) return null_argument(name);
  if (length < MOE_TEXT)
    return fail(ErrorCode::bad_argument,
                fmt::format("the length of {} is {}, expected at least 0, or MOE_TEXT", name, length));
  if (length == MOE_TEXT) return std::string_view(text);
  return length == 0 ? std::string_view() : std::string_view(text, static_cast<std::size_t>(length));
}

/// A file name: not empty and without zero bytes, at which the system would cut it.
inline Result<std::string> read_path(const char* path, std::int64_t length) {
  const auto text = read_text(path, length, "path");
  if (!text) return forward(text);
  if (text->empty() || text->find('\0') != std::string_view::npos)
    return fail(ErrorCode::bad_argument, "path is empty or has a zero byte inside, expected a file or directory");
  return std::string(*text);
}

template <class T>
Result<std::span<const T>> read_list(const T* values, std::int64_t count, const char* name) {
  if (count < 0)
    return fail(ErrorCode::bad_argument, fmt::format("the number of {} is {}, expected at least 0", name, count));
  if (values == nullptr && count > 0) return null_argument(name);
  if (static_cast<std::uint64_t>(count) > PTRDIFF_MAX / sizeof(T))
    return fail(ErrorCode::bad_argument, fmt::format("the number of {} is {}, more than memory holds", name, count));
  return std::span<const T>(values, static_cast<std::size_t>(count));
}

/// [count] texts; `lengths` is null if all end with a zero byte.
inline Result<std::vector<std::string>> read_texts(const char* const* texts, const std::int64_t* lengths,
                                                   std::int64_t count, const char* name) {
  const auto pointers = read_list(texts, count, name);
  if (!pointers) return forward(pointers);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < pointers->size(); ++i) {
    const auto text = read_text((*pointers)[i], lengths == nullptr ? MOE_TEXT : lengths[i], name);
    if (!text) return forward(text);
    out.emplace_back(*text);
  }
  return out;
}

/// An output buffer: checked before the work, written after it. A text gets a zero byte at its end.
template <class T>
class ListOut {
 public:
  static constexpr std::size_t kEnd = std::is_same_v<T, char> ? 1 : 0;

  static Result<ListOut> create(T* out, std::int64_t capacity, std::int64_t* count, const char* name) {
    if (count == nullptr)
      return fail(ErrorCode::bad_argument, fmt::format("where the length of {} goes is null", name));
    if (capacity < 0)
      return fail(ErrorCode::bad_argument,
                  fmt::format("the capacity of {} is {}, expected at least 0", name, capacity));
    if (out == nullptr && capacity > 0) return null_argument(name);
    return ListOut(out, capacity, count, name);
  }
  Result<void> write(std::span<const T> values) const {
    *count_ = static_cast<std::int64_t>(values.size());
    if (capacity_ == 0) return {};
    const std::size_t needed = values.size() + kEnd;
    if (static_cast<std::uint64_t>(capacity_) < needed)
      return fail(ErrorCode::bad_shape,
                  fmt::format("the capacity of {} is {}, expected at least {}", name_, capacity_, needed));
    if (!values.empty()) std::memcpy(out_, values.data(), values.size() * sizeof(T));
    if constexpr (kEnd == 1) out_[values.size()] = '\0';
    return {};
  }

 private:
  ListOut(T* out, std::int64_t capacity, std::int64_t* count, const char* name)
      : out_(out), capacity_(capacity), count_(count), name_(name) {}
  T* out_;
  std::int64_t capacity_;
  std::int64_t* count_;
  const char* name_;
};
using TextOut = ListOut<char>;
using IdsOut = ListOut<std::int32_t>;

}  // namespace moe::inline MOE_ABI::c

#pragma once
// Reads a binary header sequentially through a small buffer, and knows how many bytes are left: every count in the
// header is checked against that before an allocation.

#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "checkpoint/input_file.hpp"
#include "support/fnv1a.hpp"

namespace moe::inline MOE_ABI::checkpoint {

class HeaderReader {
 public:
  /// `limit`: no header is longer than that, whatever the file's size.
  HeaderReader(const InputFile& file, std::uint64_t limit);

  std::uint64_t position() const { return position_; }
  std::uint64_t remaining() const { return end_ - position_; }
  /// Of all bytes read so far.
  const Fnv1a& hash() const { return hash_; }

  /// Errors: bad_file when the header ends first, naming `what`; io.
  Result<void> read(std::span<std::byte> out, const char* what);

  template <class T>
  requires std::is_arithmetic_v<T> Result<T> number(const char* what) {
    T value{};
    if (auto ok = read(std::as_writable_bytes(std::span(&value, 1)), what); !ok) return forward(ok);
    return value;
  }

 private:
  Result<void> fill();

  const InputFile& file_;
  std::uint64_t end_ = 0;
  std::uint64_t position_ = 0;
  std::vector<std::byte> buffer_;  // [buffer_begin_, buffer_begin_ + size) of the file
  std::uint64_t buffer_begin_ = 0;
  Fnv1a hash_;
};

}  // namespace moe::inline MOE_ABI::checkpoint

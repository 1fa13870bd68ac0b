#pragma once
// A file read by position with pread: unlike a mapping, a file that shrinks is an error value and not a signal.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::checkpoint {

class InputFile {
 public:
  /// Errors: not_found, io, bad_file when it is no regular file.
  static Result<InputFile> open(std::string path);

  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  const std::string& path() const { return path_; }
  /// When it was opened.
  std::uint64_t size() const { return size_; }

  /// Fills `out` from byte `offset`. Thread-safe.
  /// Errors: io, when the file ends early, or its size or modification time is no longer what it was.
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  InputFile() = default;
  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::int64_t modified_ns_ = 0;
};

}  // namespace moe::inline MOE_ABI::checkpoint

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

  /// Fills `out` from byte `offset`. Thread-safe. The bytes are those of the file as it was when it was opened: whoever
  /// reads twice sees one content.
  /// Errors: io, when the file ends early or was changed since (its size, its times).
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  /// What tells one state of a file from another.
  struct State {
    std::int64_t size = 0, modified_ns = 0, changed_ns = 0;
    std::uint64_t links = 0, mode = 0, user = 0, group = 0;
  };

  InputFile() = default;
  Result<State> state() const;
  Result<void> check_unchanged() const;

  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  State opened_;
};

}  // namespace moe::inline MOE_ABI::checkpoint

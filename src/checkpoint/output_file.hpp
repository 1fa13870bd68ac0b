#pragma once
// A file that appears under its name when it is complete, or not at all: written beside it and renamed at the end.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::checkpoint {

class OutputFile {
 public:
  /// `replace`: a file of that name may exist. Nothing but a regular file is ever replaced.
  /// Errors: io, bad_argument when the name is taken.
  static Result<OutputFile> create(std::string path, bool replace);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Removes what was written, unless finish() succeeded.
  ~OutputFile();

  const std::string& path() const { return path_; }
  /// Where the bytes are until finish().
  const std::string& part_path() const { return part_; }
  std::uint64_t position() const { return position_; }

  /// Gives the file its final length: what is not yet written reads as zeros.
  /// Errors: io; when the disk has less room, it says how much.
  Result<void> extend(std::uint64_t bytes);
  Result<void> write(std::span<const std::byte> bytes);
  /// Waits for the disk, then renames.
  Result<void> finish();

 private:
  OutputFile() = default;
  tl::unexpected<Error> failed(const char* what, int error) const;

  std::string path_, part_;
  int descriptor_ = -1;
  bool replace_ = false;
  std::uint64_t position_ = 0;
};

}  // namespace moe::inline MOE_ABI::checkpoint

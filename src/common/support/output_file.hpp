#pragma once
// The only way to write a result. A regular file appears under its name when it is complete, or not at all; a device, a
// FIFO or standard output is written directly.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

struct OutputOptions {
  bool replace = true;      ///< overwrite an existing regular file
  bool streams = true;      ///< allow devices, FIFOs and standard output; false: only seekable files
  bool is_private = false;  ///< of a regular file: only the user may read or write it, whatever it replaces
  std::function<bool()> cancelled = {};  ///< called while a FIFO has no reader or a slow one
};

class OutputFile {
 public:
  /// "-" is standard output. Symbolic links are followed: the file they lead to is the one that is replaced. A regular
  /// file keeps its permissions and is written under a temporary name next to it; opening a FIFO waits for a reader.
  /// Errors: io, cancelled, bad_argument when the file exists or this kind of output is not allowed.
  static Result<OutputFile> create(std::string path, OutputOptions options = {});

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Removes the temporary file, unless finish() succeeded.
  ~OutputFile();

  const std::string& path() const { return path_; }
  /// Where the bytes are until finish(); empty for a stream.
  const std::string& part_path() const { return part_; }
  bool is_stream() const { return part_.empty(); }
  bool is_standard_output() const;
  /// Whether both outputs would be the same file.
  bool is_same(const OutputFile& other) const;
  std::uint64_t position() const { return position_; }

  /// Sets the file's final length: unwritten parts read as zeros.
  /// Errors: io, with the free space if the disk is too full.
  Result<void> extend(std::uint64_t bytes);
  Result<void> write(std::span<const std::byte> bytes);
  Result<void> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  /// Overwrites bytes at `offset`; position() does not change. Not for streams.
  Result<void> rewrite(std::uint64_t offset, std::string_view text);
  /// Waits for the disk, renames, and waits for the folder.
  Result<void> finish();

 private:
  OutputFile() = default;
  tl::unexpected<Error> failed(const char* what, int error) const;
  Result<void> open_stream(const std::string& target, bool is_fifo);
  Result<void> open_part(const std::string& target);
  void sync_folder() const;

  std::string path_;           // as it was named
  std::string target_, part_;  // the target of links; the temporary file
  OutputOptions options_;
  int descriptor_ = -1, slot_ = -1;
  std::uint64_t position_ = 0;
};

/// The whole file in one call.
Result<void> write_file(const std::string& path, std::string_view bytes, OutputOptions options = {});

/// Removes what processes that were killed left beside `path`: temporary files of this user whose process is gone. The
/// caller holds a lock without which nobody writes that output: a process of another machine or container has a number
/// that means nothing here, and a file of this process' own number is of an earlier one.
void remove_dead_parts(const std::string& path);

/// Writes to a descriptor that may be a pipe. Raises no SIGPIPE; waits for slow readers, until `cancelled`. Returns 0
/// or the system's error (EPIPE: the reader has closed; ECANCELED).
int write_all(int descriptor, std::span<const std::byte> bytes, const std::function<bool()>& cancelled);

/// The error of standard output, for every program; `error` is the system's.
Error standard_output_error(int error);

}  // namespace moe::inline MOE_ABI

#pragma once
// The only way to write a result. A regular file appears under its name when it is complete, or not at all; what is no
// regular file (a device, a FIFO, standard output) stays what it is and gets the bytes.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

struct OutputOptions {
  bool replace = true;  ///< a regular file of that name may exist
  bool streams = true;  ///< devices, FIFOs and standard output will do as well; false: only what can be sought in
  std::function<bool()> cancelled = {};  ///< asked while a FIFO has no reader or its reader is slow
};

class OutputFile {
 public:
  /// "-" is standard output. Symbolic links are followed: the file they lead to is the one that is replaced. A regular
  /// file keeps its permissions and is written beside itself; a FIFO is waited for until somebody reads it.
  /// Errors: io, cancelled, bad_argument when the name is taken or no such output will do.
  static Result<OutputFile> create(std::string path, OutputOptions options = {});

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Removes what was written beside the file, unless finish() succeeded.
  ~OutputFile();

  const std::string& path() const { return path_; }
  /// Where the bytes are until finish(); empty for a stream.
  const std::string& part_path() const { return part_; }
  bool is_stream() const { return part_.empty(); }
  bool is_standard_output() const;
  /// Whether what is written here and there would come to lie in one place.
  bool is_same(const OutputFile& other) const;
  std::uint64_t position() const { return position_; }

  /// Gives the file its final length: what is not yet written reads as zeros.
  /// Errors: io; when the disk has less room, it says how much.
  Result<void> extend(std::uint64_t bytes);
  Result<void> write(std::span<const std::byte> bytes);
  Result<void> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  /// Writes again what stands at `offset`; position() stays. Not for streams.
  Result<void> rewrite(std::uint64_t offset, std::string_view text);
  /// Waits for the disk, then renames.
  Result<void> finish();

 private:
  OutputFile() = default;
  tl::unexpected<Error> failed(const char* what, int error) const;
  Result<void> open_stream(const std::string& target, bool is_fifo);
  Result<void> open_part(const std::string& target);

  std::string path_;           // as it was named
  std::string target_, part_;  // where the links lead; what is written until it is complete
  OutputOptions options_;
  int descriptor_ = -1, slot_ = -1;
  std::uint64_t position_ = 0;
};

/// The whole file in one call.
Result<void> write_file(const std::string& path, std::string_view bytes, OutputOptions options = {});

/// Writes to a descriptor that may be a pipe. Raises no SIGPIPE; waits for a reader that is slow, until `cancelled`.
/// 0, or the system's error (EPIPE: nobody reads any more; ECANCELED).
int write_all(int descriptor, std::span<const std::byte> bytes, const std::function<bool()>& cancelled);

/// The error of standard output, for every program; `error` is the system's.
Error standard_output_error(int error);

}  // namespace moe::inline MOE_ABI

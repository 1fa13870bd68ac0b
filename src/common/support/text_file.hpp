#pragma once
// Whole texts from outside: files, and where allowed pipes and standard input.

#include <cstdint>
#include <functional>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Whether other inputs than regular files are allowed.
enum class Streams {
  refused,
  allowed  ///< pipes, FIFOs with a writer, terminals, and "-" for standard input
};

struct TextLimits {
  std::uint64_t bytes = 0;  ///< a longer text is refused
  Streams streams = Streams::refused;
  std::function<bool()> cancelled = {};  ///< called while a stream has no data
  std::int32_t idle_ms = 30'000;         ///< a stream (except a terminal) without data for so long is refused
  std::int32_t writer_ms = 500;          ///< how long to wait for a writer of a FIFO
};

/// Errors: not_found; io, also when the file changes while it is read; bad_file when it is longer than `limits.bytes`
/// or is something else (a directory, a device, a FIFO without a writer); cancelled.
Result<std::string> read_text(const std::string& path, const TextLimits& limits);
/// A regular file of at most `bytes` bytes.
inline Result<std::string> read_text(const std::string& path, std::uint64_t bytes) {
  return read_text(path, TextLimits{bytes});
}

}  // namespace moe::inline MOE_ABI

#pragma once
// Whole texts from outside: files, and where it makes sense pipes and standard input.

#include <cstdint>
#include <functional>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// What may be read besides a regular file.
enum class Streams {
  refused,
  allowed  ///< pipes, FIFOs that somebody writes into, terminals, and "-" for standard input
};

struct TextLimits {
  std::uint64_t bytes = 0;  ///< a longer text is refused
  Streams streams = Streams::refused;
  std::function<bool()> cancelled = {};  ///< asked while a stream has nothing to read
  std::int32_t idle_ms = 30'000;         ///< a stream (but no terminal) that gives nothing for so long is refused
  std::int32_t writer_ms = 500;          ///< as long is waited for somebody who opens a FIFO for writing
};

/// Errors: not_found; io, also when the file changes while it is read; bad_file when it is longer than `limits.bytes` or
/// is something else (a directory, a device, a FIFO nobody writes into); cancelled.
Result<std::string> read_text(const std::string& path, const TextLimits& limits);
/// A regular file of at most `bytes` bytes.
inline Result<std::string> read_text(const std::string& path, std::uint64_t bytes) {
  return read_text(path, TextLimits{bytes});
}

}  // namespace moe::inline MOE_ABI

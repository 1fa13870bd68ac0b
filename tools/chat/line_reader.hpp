#pragma once
// Reads lines from the user: on a terminal with editing and history, else directly from a file or a pipe.

#include <memory>
#include <optional>
#include <string>

#include "moe/error.hpp"

namespace cli {

struct LineReaderOptions {
  std::string prompt = "> ";
  std::string history_path = {};      ///< of lines entered before; empty: none is read or written
  std::size_t most_bytes = 1u << 20;  ///< a longer line is refused
};

/// Of standard input. One at a time: a terminal has one editor.
class LineReader {
 public:
  /// Errors: internal when the editor cannot be set up.
  static moe::Result<LineReader> create(const LineReaderOptions& options);
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) = delete;
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  ~LineReader();

  bool is_terminal() const;
  /// The next line without its end; nothing at the end of the input. A line that ends in a backslash continues with the
  /// next one. Errors: cancelled after Ctrl-C, io, bad_file when the line is too long.
  moe::Result<std::optional<std::string>> read();
  /// Appends lines read on a terminal to the history file, which only this user can read. Failures are ignored, because
  /// the chat matters more.
  void remember(const std::string& line);

 private:
  struct Impl;
  explicit LineReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The path of a history of this name: below $XDG_STATE_HOME or ~/.local/state; empty when there is neither.
std::string history_path(const std::string& name);

}  // namespace cli

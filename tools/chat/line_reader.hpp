#pragma once
// A line from the user: edited on a terminal, with a history; read as it comes from a file or a pipe.

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
  /// The next line without its end; nothing at the end of the input. A line that ends in a backslash goes on with the
  /// next one. Errors: cancelled after Ctrl-C, io, bad_file when the line is too long.
  moe::Result<std::optional<std::string>> read();
  /// Appends to the history file what was read on a terminal, readable by this user alone. A history that cannot be
  /// written is no error: the conversation counts.
  void remember(const std::string& line);

 private:
  struct Impl;
  explicit LineReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Where a history of this name belongs: below $XDG_STATE_HOME or ~/.local/state; empty when there is neither.
std::string history_path(const std::string& name);

}  // namespace cli

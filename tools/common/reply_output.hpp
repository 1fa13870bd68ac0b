#pragma once
// A reply on standard output, as moe-run and moe-stages print it.

#include <unistd.h>

#include <string>
#include <utility>

#include "moe/generate.hpp"
#include "support/show.hpp"
#include "tools/common/standard_output.hpp"

namespace cli {

/// Prints a reply as it comes: text, or ids with --tokens.
class ReplyOutput {
 public:
  explicit ReplyOutput(bool raw_ids) : raw_ids_(raw_ids), terminal_(isatty(STDOUT_FILENO) == 1) {}
  moe::Result<void> show(const moe::Piece& piece) {
    std::string out(raw_ids_ ? "" : piece.text);
    for (const moe::TokenId id : piece.tokens) {
      const bool first = !std::exchange(any_, true);
      if (raw_ids_) out += (first ? "" : " ") + std::to_string(id);
    }
    return out.empty() ? moe::Result<void>() : put(out);
  }
  moe::Result<void> finish() { return any_ ? put("\n") : moe::Result<void>(); }

 private:
  // A model's text is untrusted: escape sequences must not reach a terminal.
  moe::Result<void> put(const std::string& text) { return print(terminal_ ? moe::printable_lines(text) : text); }
  bool raw_ids_, terminal_, any_ = false;
};

}  // namespace cli

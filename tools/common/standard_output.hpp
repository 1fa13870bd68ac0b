#pragma once
// The only way to write to standard output, so that failures are always reported.

#include <string_view>

#include "moe/error.hpp"

namespace cli {

/// All of the text, at once. Errors: io (a full disk, a closed descriptor, a closed pipe), cancelled by Ctrl-C while a
/// reader does not read.
moe::Result<void> print(std::string_view text);

/// Errors that a file system reports only on close.
moe::Result<void> finish_output();

/// Whether the reader has closed the pipe (`| head`), which is not reported.
bool is_broken_pipe(const moe::Error& error);

}  // namespace cli

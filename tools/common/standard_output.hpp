#pragma once
// The only way to standard output: what cannot be written is an error, never lost in silence.

#include <string_view>

#include "moe/error.hpp"

namespace cli {

/// All of the text, at once. Errors: io (a full disk, a closed descriptor, a reader that has gone), cancelled by Ctrl-C
/// while a reader does not read.
moe::Result<void> print(std::string_view text);

/// What a file system says only when a file is closed.
moe::Result<void> finish_output();

/// Whether the error is that of a reader that has gone (`| head`): nobody wants to be told.
bool is_broken_pipe(const moe::Error& error);

}  // namespace cli

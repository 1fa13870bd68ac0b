#pragma once
// Whole small files in and out.

#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// Errors: not_found, io, naming the path and the system's reason.
MOE_API Result<std::string> read_text_file(const std::string& path);

/// Writes under a temporary name, flushes to the disk, then renames: a reader sees the old file or the whole new one.
MOE_API Result<void> write_file_atomically(const std::string& path, std::string_view content);

}  // namespace moe::inline MOE_ABI::eval

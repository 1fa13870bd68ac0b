#pragma once
// Whole files out.

#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// Writes under a temporary name, flushes to the disk, then renames: a reader sees the old file or the whole new one.
MOE_API Result<void> write_file_atomically(const std::string& path, std::string_view content);

}  // namespace moe::inline MOE_ABI::eval

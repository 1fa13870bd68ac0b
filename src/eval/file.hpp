#pragma once
// Whole small files. What is written goes through support/output_file.hpp.

#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// Errors: not_found, io, naming the path and the system's reason.
MOE_API Result<std::string> read_text_file(const std::string& path);

}  // namespace moe::inline MOE_ABI::eval

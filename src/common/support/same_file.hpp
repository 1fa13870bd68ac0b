#pragma once
// Whether two names refer to the same file.

#include <span>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Whether both names refer to one file or folder: the same inode or, if it does not exist yet, the same path from the
/// same folder. Symbolic links are followed, also dangling ones.
bool same_file(const std::string& a, const std::string& b);

/// `output` must not be a file that the model at `model` (a file, or a folder) is read from, `model` itself included.
/// Errors: bad_argument naming both.
Result<void> check_not_of_model(const std::string& output, const std::string& model);

}  // namespace moe::inline MOE_ABI

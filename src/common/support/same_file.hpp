#pragma once
// Whether writing to one name would change what another stands for.

#include <span>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Whether both names lead to one file or folder: the same inode or, where nothing is there yet, the same way down
/// from the same folder. Symbolic links are followed, also those that lead to nothing.
bool same_file(const std::string& a, const std::string& b);

/// `output` must not be a file that the model at `model` (a file, or a folder) is read from, `model` itself included.
/// Errors: bad_argument naming both.
Result<void> check_not_of_model(const std::string& output, const std::string& model);

}  // namespace moe::inline MOE_ABI

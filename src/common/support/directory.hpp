#pragma once
// The names in a directory. std::filesystem's iterators end the process when an allocation fails in one (libstdc++ 12).

#include <string>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// In the system's order, without "." and "..". Errors: not_found when there is no such directory, out_of_memory, io.
Result<std::vector<std::string>> names_in(const std::string& directory);

}  // namespace moe::inline MOE_ABI

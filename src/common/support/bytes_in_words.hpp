#pragma once
// Sizes in memory and on disk, for people.

#include <cstdint>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// "7.9 GiB", "512.0 MiB", "17 bytes".
std::string bytes_in_words(std::int64_t bytes);

}  // namespace moe::inline MOE_ABI

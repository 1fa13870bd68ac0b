#pragma once
// Names out of a file, made fit for an error message.

#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// The name in quotes, with control characters and quotes as \xNN and cut to 80 bytes ("..." says so).
std::string in_quotes(std::string_view name);

}  // namespace moe::inline MOE_ABI::checkpoint

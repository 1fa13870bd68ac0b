#pragma once
// Finds incomplete characters at the end of a growing text.

#include <cstddef>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::generate {

/// Bytes at the end of `text`, 0 to 3, that are an incomplete character.
std::size_t incomplete_utf8_tail(std::string_view text);

}  // namespace moe::inline MOE_ABI::generate

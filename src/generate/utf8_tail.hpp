#pragma once
// Where a text that is still being written may be cut without splitting a character.

#include <cstddef>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::generate {

/// Bytes at the end of `text`, 0 to 3, that are the beginning of a character and may yet be completed.
std::size_t incomplete_utf8_tail(std::string_view text);

}  // namespace moe::inline MOE_ABI::generate

#pragma once
// White space of Unicode, as Python's str.isspace() has it: U+00A0 and U+3000 included.

#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Bytes of the white space that starts the text, one character; 0 when there is none.
MOE_API std::size_t leading_white_space(std::string_view text);
/// The length that str.rstrip() leaves.
MOE_API std::size_t rstrip_length(std::string_view text);

}  // namespace moe::inline MOE_ABI

#pragma once
// Unicode white space, as in Python's str.isspace(), including U+00A0 and U+3000.

#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Bytes of the white space that starts the text, one character; 0 when there is none.
MOE_API std::size_t leading_white_space(std::string_view text);
/// The length after str.rstrip().
MOE_API std::size_t rstrip_length(std::string_view text);

}  // namespace moe::inline MOE_ABI

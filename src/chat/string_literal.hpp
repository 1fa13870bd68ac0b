#pragma once
// String literals of templates.

#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::chat {

/// Resolves escapes as Python's codec unicode-escape does. The error is the reason.
tl::expected<std::string, std::string> read_string_literal(std::string_view inside);

}  // namespace moe::inline MOE_ABI::chat

#pragma once
// Search in bytes, in time linear in both lengths, because texts are untrusted.

#include <cstddef>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::chat {

/// As std::string_view::find.
std::size_t find_bytes(std::string_view whole, std::string_view part, std::size_t from);
/// As std::string_view::rfind.
std::size_t rfind_bytes(std::string_view whole, std::string_view part);

}  // namespace moe::inline MOE_ABI::chat

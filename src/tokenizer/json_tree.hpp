#pragma once
// JSON out of an untrusted file as a tree: nesting bounded, duplicate keys refused, errors as values.

#include <nlohmann/json.hpp>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// Errors: bad_file, naming `file` and the byte. The root must be an object.
Result<nlohmann::json> parse_tree(std::string_view text, const char* file);

}  // namespace moe::inline MOE_ABI::tokenizer

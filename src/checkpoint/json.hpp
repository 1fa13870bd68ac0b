#pragma once
// JSON from outside: no exceptions, bounded depth, no key twice in one object, valid UTF-8, numbers that fit.

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// Deeper than any file of a model needs.
inline constexpr int kJsonDepthLimit = 64;

/// `what` names the file in messages. Errors: bad_file, with the byte where it went wrong.
Result<void> check_json(std::string_view text, std::string_view what);
/// The parsed text; its top level must be an object. Errors: as check_json.
Result<nlohmann::json> parse_json_object(std::string_view text, std::string_view what);

}  // namespace moe::inline MOE_ABI::checkpoint

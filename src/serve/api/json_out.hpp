#pragma once
// Answers as JSON: members in the order in which they were put in, numbers that read back as the same double.

#include <nlohmann/json.hpp>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::serve::api {

using Json = nlohmann::ordered_json;

/// Bytes that are no UTF-8 become U+FFFD.
inline std::string json_text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace moe::inline MOE_ABI::serve::api

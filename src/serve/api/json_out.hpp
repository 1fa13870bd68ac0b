#pragma once
// JSON of answers: members in insertion order, numbers that read back as the same double.

#include "support/json_text.hpp"

namespace moe::inline MOE_ABI::serve::api {

using Json = nlohmann::ordered_json;

inline std::string json_text(const Json& json) { return moe::json_text(json); }

}  // namespace moe::inline MOE_ABI::serve::api

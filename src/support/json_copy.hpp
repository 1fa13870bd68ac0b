#pragma once
// A document that was read as part of one that is written.

#include <nlohmann/json_fwd.hpp>

#include "support/json.hpp"

namespace moe::inline MOE_ABI {

/// A number that is not finite becomes one again, which nlohmann writes as null. Costs 20 times the text and more: only
/// for documents of few values.
nlohmann::ordered_json copy_json(JsonValue value);

}  // namespace moe::inline MOE_ABI

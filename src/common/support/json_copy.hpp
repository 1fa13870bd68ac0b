#pragma once
// A document as nlohmann::json, to change it or to write it into one of our own files.

#include <nlohmann/json_fwd.hpp>

#include "support/json.hpp"

namespace moe::inline MOE_ABI {

/// `Json` is nlohmann::json or nlohmann::ordered_json. NaN and Infinity stay numbers, which are written as null.
/// Costs up to 50 times the text: for documents of a bounded number of values.
template <class Json>
Json copy_json(JsonValue value);

extern template nlohmann::json copy_json(JsonValue);
extern template nlohmann::ordered_json copy_json(JsonValue);

}  // namespace moe::inline MOE_ABI

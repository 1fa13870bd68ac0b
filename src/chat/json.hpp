#pragma once
// JSON into values, and values into the JSON that Python's json.dumps writes.

#include <nlohmann/json_fwd.hpp>

#include "chat/run.hpp"

namespace moe::inline MOE_ABI::chat {

/// Every string of the result, keys too, is marked with its origin. Errors: bad_argument for nesting beyond 100 levels,
/// numbers beyond 64 bits and text that is not UTF-8.
Result<Value> from_json(const nlohmann::ordered_json& json, Origin origin);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  ///< of one level; none: everything on one line
  std::string item_separator = ", ", key_separator = ": ";
};
/// json.dumps(value).
Value to_json(Run& run, const Value& value, const JsonStyle& style);
/// The filter tojson, as transformers defines it.
Value tojson_filter(Run& run, const Value& value, const Args& args);

}  // namespace moe::inline MOE_ABI::chat

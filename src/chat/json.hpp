#pragma once
// JSON into values, and values into the JSON that Python's json.dumps writes.

#include <nlohmann/json_fwd.hpp>

#include "chat/run.hpp"

namespace moe::inline MOE_ABI::chat {

/// Every string of the result, keys too, is marked with its origin. Errors: bad_argument for nesting beyond 100 levels,
/// numbers beyond 64 bits and text that is not UTF-8.
Result<Value> from_json(const nlohmann::ordered_json& json, Origin origin);

/// The same from JSON text, for requests from outside: no key twice in one object, nesting and numbers limited, time
/// linear in the text except for the look-up of keys. Errors: bad_argument, naming the byte.
Result<Value> read_json(std::string_view text, Origin origin);

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

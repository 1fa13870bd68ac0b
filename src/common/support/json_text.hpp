#pragma once
// The only way to write a JSON value as text: nlohmann's dump() throws on invalid UTF-8, and texts come from files.

#include <nlohmann/json.hpp>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Invalid UTF-8 becomes U+FFFD. `indent` as in Python's json.dumps; negative: one line.
template <class Json>
std::string json_text(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// The same in ASCII, for output that may be a terminal, where control characters and bidirectional marks would take
/// effect.
template <class Json>
std::string ascii_json_text(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', true, Json::error_handler_t::replace);
}

}  // namespace moe::inline MOE_ABI

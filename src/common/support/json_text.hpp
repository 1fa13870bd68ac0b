#pragma once
// The only way from a JSON value to text: nlohmann's dump() throws on a text that is no UTF-8, and texts come from files.

#include <nlohmann/json.hpp>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Bytes that are no UTF-8 become U+FFFD. `indent` as in Python's json.dumps; negative: one line.
template <class Json>
std::string json_text(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// The same in ASCII, for what may be a terminal: there, control characters and marks that turn the direction of text do
/// what they say.
template <class Json>
std::string ascii_json_text(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', true, Json::error_handler_t::replace);
}

}  // namespace moe::inline MOE_ABI

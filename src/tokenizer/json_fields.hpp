#pragma once
// Typed access to the members of a parsed object; every refusal names the member.

#include <optional>
#include <string>
#include <vector>

#include "moe/error.hpp"
#include "moe/tokenizer.hpp"
#include "support/json.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// The member, or nothing when it is absent or JSON null.
inline std::optional<JsonValue> member(JsonValue object, std::string_view name) {
  const auto found = object.find(name);
  return found && !found->is_null() ? found : std::nullopt;
}

/// A string member; empty when absent.
inline Result<std::string> text_member(JsonValue object, const char* name) {
  const auto value = member(object, name);
  if (!value) return std::string();
  if (!value->is_string()) return fail(ErrorCode::bad_file, std::string("\"") + name + "\" is not a string");
  return std::string(value->text());
}

inline Result<bool> bool_member(JsonValue object, const char* name, bool absent) {
  const auto value = member(object, name);
  if (!value) return absent;
  if (!value->is_boolean()) return fail(ErrorCode::bad_file, std::string("\"") + name + "\" is not true or false");
  return value->get<bool>();
}

inline Result<TokenId> token_id(JsonValue value, const std::string& what) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() <= 0x7fffffff)
    return static_cast<TokenId>(value.get<std::uint64_t>());
  return fail(ErrorCode::bad_file, "the id of " + what + " is not a number from 0 to 2^31 - 1");
}

}  // namespace moe::inline MOE_ABI::tokenizer

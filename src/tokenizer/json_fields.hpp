#pragma once
// Typed access to the members of a parsed object; every refusal names the member.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "moe/error.hpp"
#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// The member, or null when it is absent or JSON null.
inline const nlohmann::json* member(const nlohmann::json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

/// A string member; empty when absent.
inline Result<std::string> text_member(const nlohmann::json& object, const char* name) {
  const auto* value = member(object, name);
  if (!value) return std::string();
  if (!value->is_string()) return fail(ErrorCode::bad_file, std::string("\"") + name + "\" is not a string");
  return value->get_ref<const std::string&>();
}

inline Result<bool> bool_member(const nlohmann::json& object, const char* name, bool absent) {
  const auto* value = member(object, name);
  if (!value) return absent;
  if (!value->is_boolean()) return fail(ErrorCode::bad_file, std::string("\"") + name + "\" is not true or false");
  return value->get<bool>();
}

inline Result<TokenId> token_id(const nlohmann::json& value, const std::string& what) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() <= 0x7fffffff)
    return static_cast<TokenId>(value.get<std::uint64_t>());
  return fail(ErrorCode::bad_file, "the id of " + what + " is not a number from 0 to 2^31 - 1");
}

}  // namespace moe::inline MOE_ABI::tokenizer

#pragma once
// Typed access to the members of a parsed object; every refusal names the member.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "moe/error.hpp"
#include "moe/tokenizer.hpp"
#include "tokenizer/finder.hpp"

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

/// Calls `each` for every element of the list member `name`.
template <class Each>
Result<void> for_each(const nlohmann::json& node, const char* part, const char* name, Each&& each) {
  const nlohmann::json* list = member(node, name);
  if (!list || !list->is_array())
    return fail(ErrorCode::bad_file, std::string(part) + " Sequence has no list \"" + name + "\"");
  for (const nlohmann::json& element : *list)
    if (auto done = each(element); !done) return done;
  return {};
}

/// The "pattern" of a Split or Replace: a "String" or a "Regex". `what` is for messages.
inline Result<std::unique_ptr<Finder>> read_pattern(const nlohmann::json& node, const char* what) {
  const nlohmann::json* pattern = member(node, "pattern");
  if (pattern) {
    if (const nlohmann::json* text = member(*pattern, "String"); text && text->is_string())
      return make_literal(text->get_ref<const std::string&>());
    if (const nlohmann::json* regex = member(*pattern, "Regex"); regex && regex->is_string()) {
      const auto& source = regex->get_ref<const std::string&>();
      if (auto known = make_known(source)) return known;
      return make_pattern(source);
    }
  }
  return fail(ErrorCode::bad_file, std::string(what) + " has no \"pattern\" with a \"String\" or a \"Regex\"");
}

}  // namespace moe::inline MOE_ABI::tokenizer

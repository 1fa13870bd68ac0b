#pragma once
// Typed access to the members of a parsed object; every refusal names the member.

#include <optional>
#include <string>
#include <vector>

#include "moe/error.hpp"
#include "moe/tokenizer.hpp"
#include "support/json.hpp"
#include "tokenizer/finder.hpp"

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

/// Published files have up to 8 steps and up to 2 tokens around a text. Encoding recurses over steps.
inline constexpr std::size_t kMostSteps = 64;
inline Result<void> check_count(const char* what, std::size_t count) {
  if (count <= kMostSteps) return {};
  return fail(ErrorCode::unsupported, std::string(what) + " than " + std::to_string(kMostSteps));
}

/// Calls `each` for every element of the list member `name`. Sequences hold sequences as deep as JSON may be nested.
template <class Each>
Result<void> for_each(JsonValue node, const char* part, const char* name, Each&& each) {
  const auto list = member(node, name);
  if (!list || !list->is_array())
    return fail(ErrorCode::bad_file, std::string(part) + " Sequence has no list \"" + name + "\"");
  for (const JsonValue element : *list)
    if (auto done = each(element); !done) return done;
  return {};
}

/// The "pattern" of a Split or Replace: a "String" or a "Regex". `what` is for messages.
inline Result<std::unique_ptr<Finder>> read_pattern(JsonValue node, const char* what) {
  if (const auto pattern = member(node, "pattern")) {
    if (const auto text = member(*pattern, "String"); text && text->is_string())
      return make_literal(std::string(text->text()));
    if (const auto regex = member(*pattern, "Regex"); regex && regex->is_string()) {
      if (auto known = make_known(regex->text())) return known;
      return make_pattern(regex->text());
    }
  }
  return fail(ErrorCode::bad_file, std::string(what) + " has no \"pattern\" with a \"String\" or a \"Regex\"");
}

}  // namespace moe::inline MOE_ABI::tokenizer

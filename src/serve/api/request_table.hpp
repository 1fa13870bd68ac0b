#pragma once
// The fields of requests: every field that clients are known to send, with type, range and default. Known fields are
// obeyed or refused by name, never ignored silently.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serve/api/errors.hpp"
#include "support/json.hpp"

namespace moe::inline MOE_ABI::serve::api {

enum class FieldType { boolean, integer, number, text, object, list, any };

/// How the server treats a field.
enum class FieldUse {
  read,      ///< obeyed
  accepted,  ///< has no effect ("user")
  refused,   ///< not supported: only neutral values are allowed
};

struct FieldRule {
  std::string_view name;
  FieldType type = FieldType::any;
  FieldUse use = FieldUse::read;
  double least = -1e308, most = 1e308;  ///< of numbers
  double otherwise = 0;                 ///< default of numbers and booleans, if absent or null
  /// Neutral values of refused fields, as JSON. null always is one.
  std::vector<std::string_view> neutral = {};
};
using RequestTable = std::span<const FieldRule>;

/// A request with checked fields. The document must outlive it.
class Fields {
 public:
  /// Errors: 400, naming the field, what was found and what was expected; with `strict` also for unknown fields.
  static Checked<Fields> check(JsonValue root, RequestTable table, bool strict);

  /// Nothing where it is absent or null.
  std::optional<JsonValue> find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name).has_value(); }
  /// The value, or the table's default.
  bool flag(std::string_view name) const;
  double number(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  std::string text(std::string_view name) const;
  /// Unknown fields, in the order of the request.
  const std::vector<std::string>& unknown() const { return unknown_; }

 private:
  Fields(JsonValue root, RequestTable table) : root_(root), table_(table) {}
  const FieldRule& rule(std::string_view name) const;
  JsonValue root_;
  RequestTable table_;
  std::vector<std::string> unknown_;
};

/// The body of a request: a JSON object without NaN and Infinity. Errors: 400.
Checked<JsonDocument> read_body(std::string_view body);

/// "x-moe-ignored": names of unknown fields, cut to a header's length; empty where there are none.
std::string ignored_header(const Fields& fields);

}  // namespace moe::inline MOE_ABI::serve::api

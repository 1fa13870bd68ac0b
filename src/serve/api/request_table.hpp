#pragma once
// What a request may hold: every field that clients are known to send, its type, its range and what it is without it. A
// field that is known is acted on or refused by name, never passed over.

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

/// What the server does with a field.
enum class FieldUse {
  read,      ///< it acts on it
  accepted,  ///< it changes nothing by its nature ("user")
  refused,   ///< it cannot do that: anything but a neutral value is an error
};

struct FieldRule {
  std::string_view name;
  FieldType type = FieldType::any;
  FieldUse use = FieldUse::read;
  double least = -1e308, most = 1e308;  ///< of numbers
  double otherwise = 0;                 ///< of numbers and booleans, where the field is absent or null
  /// Of refused fields: JSON texts with which nothing is asked for. null always is one.
  std::vector<std::string_view> neutral = {};
};
using RequestTable = std::span<const FieldRule>;

/// A request whose fields were checked. The document must live as long.
class Fields {
 public:
  /// Errors: 400, naming the field, what was found and what was expected; with `strict` also for unknown fields.
  static Checked<Fields> check(JsonValue root, RequestTable table, bool strict);

  /// Nothing where it is absent or null.
  std::optional<JsonValue> find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name).has_value(); }
  /// The value, or what the table says it is otherwise.
  bool flag(std::string_view name) const;
  double number(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  std::string text(std::string_view name) const;
  /// Fields that the table does not know, in the order of the request.
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

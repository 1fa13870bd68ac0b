#include "serve/api/request_table.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "support/show.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

std::string_view expected(FieldType type) {
  switch (type) {
    case FieldType::boolean: return "true or false";
    case FieldType::integer: return "a whole number";
    case FieldType::number: return "a number";
    case FieldType::text: return "a string";
    case FieldType::object: return "an object";
    case FieldType::list: return "a list";
    case FieldType::any: return "a value";
  }
  return "";
}

bool has_type(JsonValue value, FieldType type) {
  switch (type) {
    case FieldType::boolean: return value.is_boolean();
    case FieldType::integer: return value.is_number_integer();
    case FieldType::number: return value.is_number();
    case FieldType::text: return value.is_string();
    case FieldType::object: return value.is_object();
    case FieldType::list: return value.is_array();
    case FieldType::any: return true;
  }
  return false;
}

bool same_value(JsonValue value, std::string_view json) {
  const auto other = JsonDocument::parse(json);
  if (!other) return false;
  if (value.is_number() && other->root().is_number()) return value.get<double>() == other->root().get<double>();
  return value.in_ascii() == other->root().in_ascii();
}

Checked<void> check_value(JsonValue value, const FieldRule& rule) {
  if (!has_type(value, rule.type))
    return invalid(rule.name, fmt::format("{} is {}, expected {}", rule.name, value.in_ascii(60), expected(rule.type)));
  if (!value.is_number() || rule.type == FieldType::any) return {};
  const auto number = value.get<double>();
  if (number >= rule.least && number <= rule.most) return {};
  return invalid(rule.name, fmt::format("{} is {}, expected {} from {} to {}", rule.name, value.in_ascii(60),
                                        expected(rule.type), rule.least, rule.most));
}

Checked<void> check_field(JsonValue value, const FieldRule& rule) {
  if (value.is_null()) return {};
  if (rule.use == FieldUse::read) return check_value(value, rule);
  if (rule.use == FieldUse::accepted) return {};
  for (const auto neutral : rule.neutral)
    if (same_value(value, neutral)) return {};
  std::string expected_values;
  for (const auto neutral : rule.neutral) expected_values += " or " + std::string(neutral);
  return tl::unexpected<ApiError>({400,
                                   fmt::format("{} is {}, which is not supported: expected null{}, or no such field",
                                               rule.name, value.in_ascii(60), expected_values),
                                   std::string(rule.name),
                                   "unsupported_parameter",
                                   {}});
}

const FieldRule* find_rule(RequestTable table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const FieldRule& r) { return r.name == name; });
  return found == table.end() ? nullptr : &*found;
}

bool holds_no_number(JsonValue value) {
  if (value.kind() == JsonValue::Kind::not_finite) return true;
  for (const JsonValue v : value)
    if (holds_no_number(v)) return true;
  for (const auto& member : value.items())
    if (holds_no_number(member.second)) return true;
  return false;
}

}  // namespace

Checked<Fields> Fields::check(JsonValue root, RequestTable table, bool strict) {
  Fields fields(root, table);
  for (const auto& member : root.items()) {
    const FieldRule* rule = find_rule(table, member.first);
    if (rule == nullptr) {
      if (strict)
        return tl::unexpected<ApiError>({400,
                                         "there is no field " + in_quotes(member.first),
                                         std::string(member.first),
                                         "unsupported_parameter",
                                         {}});
      fields.unknown_.emplace_back(member.first);
    } else if (auto ok = check_field(member.second, *rule); !ok) {
      return pass_on(ok);
    }
  }
  return fields;
}

std::optional<JsonValue> Fields::find(std::string_view name) const {
  auto found = root_.find(name);
  if (found && found->is_null()) return {};
  return found;
}

const FieldRule& Fields::rule(std::string_view name) const {
  static const FieldRule kNone{};
  const FieldRule* found = find_rule(table_, name);
  MOE_ASSERT(found != nullptr);
  return found != nullptr ? *found : kNone;
}

bool Fields::flag(std::string_view name) const {
  const auto value = find(name);
  return value ? value->get<bool>() : rule(name).otherwise != 0;
}
double Fields::number(std::string_view name) const {
  const auto value = find(name);
  return value ? value->get<double>() : rule(name).otherwise;
}
std::int64_t Fields::integer(std::string_view name) const {
  const auto value = find(name);
  return value ? value->get<std::int64_t>() : static_cast<std::int64_t>(rule(name).otherwise);
}
std::string Fields::text(std::string_view name) const {
  const auto value = find(name);
  return value ? value->get<std::string>() : std::string();
}

Checked<JsonDocument> read_body(std::string_view body) {
  auto document = JsonDocument::parse(body);
  if (!document) return tl::unexpected<ApiError>({400, "the body " + document.error().message, {}, "invalid_json", {}});
  if (!document->root().is_object())
    return tl::unexpected<ApiError>(
        {400,
         fmt::format("the body is a JSON {}, expected an object", document->root().type_name()),
         {},
         "invalid_json",
         {}});
  if (holds_no_number(document->root()))
    return tl::unexpected<ApiError>({400, "the body holds NaN or Infinity, which is no JSON", {}, "invalid_json", {}});
  return *document;
}

std::string ignored_header(const Fields& fields) {
  constexpr std::size_t kMostBytes = 1000;
  std::string out;
  for (const std::string& name : fields.unknown()) {
    std::string shown = name.substr(0, 64);
    for (char& c : shown)
      if (c <= ' ' || c >= 0x7F || c == ',') c = '?';
    if (out.size() + shown.size() > kMostBytes) return out + ", ...";
    out += (out.empty() ? "" : ", ") + shown;
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::serve::api

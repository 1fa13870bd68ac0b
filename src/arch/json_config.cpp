#include "arch/json_config.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "arch/defaults.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

// Published: some 50. A list of layers or modules has thousands.
constexpr std::size_t kMostValues = 1 << 16;

// Keeps messages readable.
std::string shown(JsonValue value) { return value.in_ascii(60); }

}  // namespace

Result<JsonConfig> JsonConfig::parse(std::string_view text) {
  const auto document = parse_json_object(text, "config.json");
  if (!document) return forward(document);
  if (document->value_count() > kMostValues)
    return fail(ErrorCode::bad_file,
                fmt::format("config.json: has {} values, expected at most {}", document->value_count(), kMostValues));
  JsonConfig config;
  config.document_ = *document;
  config.json_ = document->root();
  return config;
}

std::vector<std::string_view> JsonConfig::names_of(std::string_view key) const {
  std::vector<std::string_view> names = {key};
  if (defaults_ != nullptr)
    for (const auto& [one, other] : defaults_->names)
      if (key == one || key == other) names.push_back(key == one ? other : one);
  return names;
}

std::optional<JsonValue> JsonConfig::find_in_file(std::string_view key) const {
  std::optional<JsonValue> found;
  std::string_view under;
  for (const std::string_view name : names_of(key)) {
    const std::optional<JsonValue> value = json_.find(name);
    if (!value) continue;
    shared_->read.insert(path(name));
    if (found && !(*found == *value))
      refuse(ErrorCode::bad_config, fmt::format("config.json: {} is {} and {} is {}, expected one value: they are "
                                                "names of the same number",
                                                path(under), shown(*found), path(name), shown(*value)));
    if (!found) found = value, under = name;
  }
  return found;
}

std::string JsonConfig::shown_path(std::string_view key) const {
  for (const std::string_view name : names_of(key))
    if (json_.contains(name)) return path(name);
  return path(key);
}

std::optional<JsonValue> JsonConfig::default_of(std::string_view key) const {
  if (defaults_ == nullptr) return std::nullopt;
  for (const std::string_view name : names_of(key))
    if (const auto value = defaults_->values.find(name)) return value;
  return std::nullopt;
}

std::optional<JsonValue> JsonConfig::find(std::string_view key) const {
  const std::optional<JsonValue> value = find_in_file(key), fallback = default_of(key);
  if (!value) return fallback && !fallback->is_null() ? fallback : std::nullopt;
  if (!value->is_null()) return value;
  bool nullable = !fallback;
  for (const std::string_view name : names_of(key)) nullable |= defaults_ != nullptr && defaults_->nullable.count(name);
  if (!nullable)
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {} is null, expected a value like {}", shown_path(key), shown(*fallback)));
  return std::nullopt;
}

bool JsonConfig::has(std::string_view key) const { return find(key).has_value(); }
bool JsonConfig::knows(std::string_view key) const {
  return default_of(key).has_value() || (defaults_ != nullptr && defaults_->nullable.count(key) != 0);
}
bool JsonConfig::in_file(std::string_view key) const { return find_in_file(key).has_value(); }

void JsonConfig::refuse(ErrorCode code, std::string message) const {
  // Names come from the file.
  if (!shared_->first_error) shared_->first_error = Error{code, printable(message)};
}

void JsonConfig::note(std::string text) const { shared_->notes.push_back(std::move(text)); }

Result<void> JsonConfig::status() const {
  if (shared_->first_error) return tl::unexpected<Error>(*shared_->first_error);
  return {};
}

std::vector<UnreadKey> JsonConfig::unread() const {
  std::vector<UnreadKey> out;
  const auto collect = [&](JsonValue object, const std::string& prefix, const auto& inner) -> void {
    std::map<std::string_view, JsonValue> members;  // sorted: messages do not depend on the order of the file
    for (const auto& [key, value] : object.items()) members.emplace(key, value);
    for (const auto& [key, value] : members) {
      const std::string full = prefix + std::string(key);
      if (shared_->read.count(full) == 0)
        out.push_back({full, document_, value});
      else if (value.is_object() && shared_->read.count(full + ".") != 0)
        inner(value, full + ".", inner);
    }
  };
  collect(json_, prefix_, collect);
  return out;
}

std::int64_t JsonConfig::integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  const std::optional<JsonValue> value = find(key);
  if (!value) {
    refuse(ErrorCode::bad_config, fmt::format("config.json: {} is {}, expected an integer", shown_path(key),
                                              in_file(key) ? "null" : "missing"));
    return min;
  }
  if (!in_file(key)) shared_->assumed.push_back(path(key));
  std::int64_t out = 0;
  bool fits = false;
  if (value->is_number_unsigned()) {
    const auto n = value->get<std::uint64_t>();
    fits = n <= static_cast<std::uint64_t>(INT64_MAX);
    out = static_cast<std::int64_t>(n);
  } else if (value->is_number_integer()) {
    out = value->get<std::int64_t>();
    fits = true;
  }
  if (!fits || out < min || out > max) {
    refuse(ErrorCode::bad_config, fmt::format("config.json: {} is {}, expected an integer from {} to {}",
                                              shown_path(key), shown(*value), min, max));
    return min;
  }
  return out;
}

std::int64_t JsonConfig::integer_or(std::string_view key, std::int64_t null, std::int64_t min, std::int64_t max) const {
  return has(key) ? integer(key, min, max) : null;
}

double JsonConfig::number(std::string_view key) const {
  const std::optional<JsonValue> value = find(key);
  if (!value || !value->is_number() || !std::isfinite(value->get<double>())) {
    refuse(ErrorCode::bad_config, fmt::format("config.json: {} is {}, expected a finite number", shown_path(key),
                                              value          ? shown(*value)
                                              : in_file(key) ? "null"
                                                             : "missing"));
    return 0.0;
  }
  return value->get<double>();
}

double JsonConfig::number_or(std::string_view key, double null) const { return has(key) ? number(key) : null; }

bool JsonConfig::boolean(std::string_view key) const { return boolean_or(key, false); }

bool JsonConfig::boolean_or(std::string_view key, bool null) const {
  const std::optional<JsonValue> value = find(key);
  if (!value) return null;
  if (!value->is_boolean()) {
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {} is {}, expected true or false", shown_path(key), shown(*value)));
    return null;
  }
  return value->get<bool>();
}

std::string JsonConfig::string_or(std::string_view key, std::string_view null) const {
  const std::optional<JsonValue> value = find(key);
  if (!value) return std::string(null);
  if (!value->is_string()) {
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {} is {}, expected a string", shown_path(key), shown(*value)));
    return std::string(null);
  }
  return value->get<std::string>();
}

template <class T, class Fits>
std::vector<T> JsonConfig::list_or_empty(std::string_view key, const char* expected, Fits&& fits) const {
  std::vector<T> out;
  const std::optional<JsonValue> value = find(key);
  if (!value) return out;
  bool good = value->is_array() && value->size() <= 4096;
  if (good)
    for (const JsonValue item : *value) {
      good = fits(item);
      if (!good) break;
      out.push_back(item.get<T>());
    }
  if (!good)
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {} is {}, expected a list of {}", shown_path(key), shown(*value), expected));
  return out;
}

std::vector<std::int64_t> JsonConfig::integers_or_empty(std::string_view key) const {
  return list_or_empty<std::int64_t>(key, "integers", [](JsonValue item) { return item.is_number_integer(); });
}

std::vector<double> JsonConfig::numbers_or_empty(std::string_view key) const {
  return list_or_empty<double>(key, "finite numbers",
                               [](JsonValue item) { return item.is_number() && std::isfinite(item.get<double>()); });
}

std::vector<std::string> JsonConfig::strings_or_empty(std::string_view key) const {
  return list_or_empty<std::string>(key, "strings", [](JsonValue item) { return item.is_string(); });
}

std::int64_t JsonConfig::uniform_integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  const std::optional<JsonValue> value = find(key);
  if (!value || !value->is_array()) return integer(key, min, max);
  const std::vector<std::int64_t> list = integers_or_empty(key);
  for (const std::int64_t n : list)
    if (n != list.front() || n < min || n > max) {
      refuse(ErrorCode::unsupported,
             fmt::format("config.json: {} is {}, expected one integer from {} to {} for all layers", shown_path(key),
                         shown(*value), min, max));
      return min;
    }
  if (list.empty())
    refuse(ErrorCode::bad_config, fmt::format("config.json: {} is [], expected integers", shown_path(key)));
  return list.empty() ? min : list.front();
}

bool JsonConfig::is_false(std::string_view key) const {
  const std::optional<JsonValue> value = find(key);
  return value && value->is_boolean() && !value->get<bool>();
}

JsonConfig JsonConfig::object(std::string_view key) const {
  JsonConfig inner;
  inner.prefix_ = path(key) + ".";
  inner.shared_ = shared_;
  std::optional<JsonValue> value = find(key);
  if (!value)  // null: where the class makes an object of none, that one
    if (const auto fallback = default_of(key); fallback && fallback->is_object()) value = fallback;
  if (value) {
    shared_->read.insert(inner.prefix_);
    if (value->is_object())
      inner.document_ = document_, inner.json_ = *value;
    else
      refuse(ErrorCode::bad_config,
             fmt::format("config.json: {} is {}, expected an object", shown_path(key), shown(*value)));
  }
  return inner;
}

std::string JsonConfig::architecture() const {
  const std::optional<JsonValue> list = find("architectures");
  if (!list) return {};
  if (list->is_array() && !list->empty() && list->front().is_string()) return list->front().get<std::string>();
  refuse(ErrorCode::bad_config,
         fmt::format("config.json: architectures is {}, expected a list with a name", shown(*list)));
  return {};
}

}  // namespace moe::inline MOE_ABI::arch

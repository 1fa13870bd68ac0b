#include "arch/json_config.hpp"

#include <fmt/format.h>

#include <cmath>

#include "arch/defaults.hpp"
#include "support/json_copy.hpp"
#include "support/json_text.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

// Published: some 50. A list of layers or modules has thousands.
constexpr std::size_t kMostValues = 1 << 16;

// Long values would make a message unreadable; they are nested as deep as the reader of JSON allows.
std::string shown(const nlohmann::json& value) {
  if (value.is_number_float() && std::isnan(value.get<double>())) return "NaN";
  if (value.is_number_float() && std::isinf(value.get<double>()))
    return value.get<double>() > 0 ? "Infinity" : "-Infinity";
  return shortened(json_text(value), 60);
}

}  // namespace

Result<JsonConfig> JsonConfig::parse(std::string_view text) {
  const auto document = parse_json_object(text, "config.json");
  if (!document) return forward(document);
  if (document->value_count() > kMostValues)
    return fail(ErrorCode::bad_file,
                fmt::format("config.json: has {} values, expected at most {}", document->value_count(), kMostValues));
  JsonConfig config;
  config.json_ = copy_json<nlohmann::json>(document->root());
  return config;
}

std::vector<std::string_view> JsonConfig::names_of(std::string_view key) const {
  std::vector<std::string_view> names = {key};
  if (defaults_ != nullptr)
    for (const auto& [one, other] : defaults_->names)
      if (key == one || key == other) names.push_back(key == one ? other : one);
  return names;
}

const nlohmann::json* JsonConfig::find_in_file(std::string_view key) const {
  const nlohmann::json* found = nullptr;
  std::string_view under;
  for (const std::string_view name : names_of(key)) {
    const auto it = json_.find(std::string(name));
    if (it == json_.end()) continue;
    shared_->read.insert(path(name));
    if (found != nullptr && *found != *it)
      refuse(ErrorCode::bad_config, fmt::format("config.json: {} is {} and {} is {}, expected one value: they are "
                                                "names of the same number",
                                                path(under), shown(*found), path(name), shown(*it)));
    if (found == nullptr) found = &*it, under = name;
  }
  return found;
}

std::string JsonConfig::shown_path(std::string_view key) const {
  for (const std::string_view name : names_of(key))
    if (json_.contains(std::string(name))) return path(name);
  return path(key);
}

const nlohmann::json* JsonConfig::default_of(std::string_view key) const {
  if (defaults_ == nullptr) return nullptr;
  for (const std::string_view name : names_of(key))
    if (const auto it = defaults_->values.find(std::string(name)); it != defaults_->values.end()) return &*it;
  return nullptr;
}

const nlohmann::json* JsonConfig::find(std::string_view key) const {
  const nlohmann::json* value = find_in_file(key);
  const nlohmann::json* fallback = default_of(key);
  if (value == nullptr) return fallback == nullptr || fallback->is_null() ? nullptr : fallback;
  if (!value->is_null()) return value;
  bool nullable = fallback == nullptr;
  for (const std::string_view name : names_of(key)) nullable |= defaults_ != nullptr && defaults_->nullable.count(name);
  if (!nullable)
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {} is null, expected a value like {}", shown_path(key), shown(*fallback)));
  return nullptr;
}

bool JsonConfig::has(std::string_view key) const { return find(key) != nullptr; }
bool JsonConfig::knows(std::string_view key) const {
  return default_of(key) != nullptr || (defaults_ != nullptr && defaults_->nullable.count(key) != 0);
}
bool JsonConfig::in_file(std::string_view key) const { return find_in_file(key) != nullptr; }

void JsonConfig::refuse(ErrorCode code, std::string message) const {
  // Many of them name a text of the file.
  if (!shared_->first_error) shared_->first_error = Error{code, printable(message)};
}

void JsonConfig::note(std::string text) const { shared_->notes.push_back(std::move(text)); }

Result<void> JsonConfig::status() const {
  if (shared_->first_error) return tl::unexpected<Error>(*shared_->first_error);
  return {};
}

std::vector<UnreadKey> JsonConfig::unread() const {
  std::vector<UnreadKey> out;
  const auto collect = [&](const nlohmann::json& object, const std::string& prefix, const auto& inner) -> void {
    for (const auto& [key, value] : object.items()) {
      const std::string full = prefix + key;
      if (shared_->read.count(full) == 0)
        out.push_back({full, value});
      else if (value.is_object() && shared_->read.count(full + ".") != 0)
        inner(value, full + ".", inner);
    }
  };
  collect(json_, prefix_, collect);
  return out;
}

std::int64_t JsonConfig::integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) {
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
  const nlohmann::json* value = find(key);
  if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>())) {
    refuse(ErrorCode::bad_config, fmt::format("config.json: {} is {}, expected a finite number", shown_path(key),
                                              value != nullptr ? shown(*value)
                                              : in_file(key)   ? "null"
                                                               : "missing"));
    return 0.0;
  }
  return value->get<double>();
}

double JsonConfig::number_or(std::string_view key, double null) const { return has(key) ? number(key) : null; }

bool JsonConfig::boolean(std::string_view key) const { return boolean_or(key, false); }

bool JsonConfig::boolean_or(std::string_view key, bool null) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return null;
  if (!value->is_boolean()) {
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {} is {}, expected true or false", shown_path(key), shown(*value)));
    return null;
  }
  return value->get<bool>();
}

std::string JsonConfig::string_or(std::string_view key, std::string_view null) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::string(null);
  if (!value->is_string()) {
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {} is {}, expected a string", shown_path(key), shown(*value)));
    return std::string(null);
  }
  return value->get<std::string>();
}

std::vector<std::int64_t> JsonConfig::integers_or_empty(std::string_view key) const {
  std::vector<std::int64_t> out;
  const nlohmann::json* value = find(key);
  if (value == nullptr) return out;
  bool good = value->is_array() && value->size() <= 4096;
  if (good)
    for (const nlohmann::json& item : *value) {
      if (!item.is_number_integer()) {
        good = false;
        break;
      }
      out.push_back(item.get<std::int64_t>());
    }
  if (!good)
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {} is {}, expected a list of integers", shown_path(key), shown(*value)));
  return out;
}

std::vector<double> JsonConfig::numbers_or_empty(std::string_view key) const {
  std::vector<double> out;
  const nlohmann::json* value = find(key);
  if (value == nullptr) return out;
  bool good = value->is_array() && value->size() <= 4096;
  if (good)
    for (const nlohmann::json& item : *value) {
      good = good && item.is_number() && std::isfinite(item.get<double>());
      out.push_back(good ? item.get<double>() : 0.0);
    }
  if (!good)
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {} is {}, expected a list of finite numbers", shown_path(key), shown(*value)));
  return out;
}

std::vector<std::string> JsonConfig::strings_or_empty(std::string_view key) const {
  std::vector<std::string> out;
  const nlohmann::json* value = find(key);
  if (value == nullptr) return out;
  bool good = value->is_array() && value->size() <= 4096;
  if (good)
    for (const nlohmann::json& item : *value) {
      if (!item.is_string()) {
        good = false;
        break;
      }
      out.push_back(item.get<std::string>());
    }
  if (!good)
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {} is {}, expected a list of strings", shown_path(key), shown(*value)));
  return out;
}

std::int64_t JsonConfig::uniform_integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr || !value->is_array()) return integer(key, min, max);
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
  const nlohmann::json* value = find(key);
  return value != nullptr && value->is_boolean() && !value->get<bool>();
}

JsonConfig JsonConfig::object(std::string_view key) const {
  JsonConfig inner;
  inner.prefix_ = path(key) + ".";
  inner.shared_ = shared_;
  if (const nlohmann::json* value = find(key)) {
    shared_->read.insert(inner.prefix_);
    if (value->is_object())
      inner.json_ = *value;
    else
      refuse(ErrorCode::bad_config,
             fmt::format("config.json: {} is {}, expected an object", shown_path(key), shown(*value)));
  }
  return inner;
}

std::string JsonConfig::architecture() const {
  const nlohmann::json* list = find("architectures");
  if (list == nullptr) return {};
  if (list->is_array() && !list->empty() && list->front().is_string()) return list->front().get<std::string>();
  refuse(ErrorCode::bad_config,
         fmt::format("config.json: architectures is {}, expected a list with a name", shown(*list)));
  return {};
}

}  // namespace moe::inline MOE_ABI::arch

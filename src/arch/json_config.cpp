#include "arch/json_config.hpp"

#include <fmt/format.h>

namespace moe::inline MOE_ABI::arch {
namespace {

// Long values would make a message unreadable.
std::string shown(JsonValue value) { return value.dump(60); }

}  // namespace

Result<JsonConfig> JsonConfig::parse(std::string_view text) {
  auto document = parse_json_object(text, "config.json");
  if (!document) return forward(document);
  JsonConfig config;
  config.object_ = document->root();
  config.document_ = std::move(*document);
  return config;
}

std::optional<JsonValue> JsonConfig::find(std::string_view key) const {
  const auto found = object_ ? object_->find(key) : std::nullopt;
  return found && !found->is_null() ? found : std::nullopt;
}

bool JsonConfig::has(std::string_view key) const { return find(key).has_value(); }

void JsonConfig::refuse(ErrorCode code, std::string message) const {
  if (!first_error_->has_value()) *first_error_ = Error{code, std::move(message)};
}

Result<void> JsonConfig::status() const {
  if (first_error_->has_value()) return tl::unexpected<Error>(**first_error_);
  return {};
}

std::int64_t JsonConfig::integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  const auto value = find(key);
  if (!value) {
    refuse(ErrorCode::bad_config, fmt::format("config.json: {}{} is missing, expected an integer", prefix_, key));
    return min;
  }
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
    refuse(ErrorCode::bad_config, fmt::format("config.json: {}{} is {}, expected an integer from {} to {}", prefix_,
                                              key, shown(*value), min, max));
    return min;
  }
  return out;
}

std::int64_t JsonConfig::integer_or(std::string_view key, std::int64_t fallback, std::int64_t min,
                                    std::int64_t max) const {
  return has(key) ? integer(key, min, max) : fallback;
}

double JsonConfig::number(std::string_view key) const {
  const auto value = find(key);
  if (!value || !value->is_number()) {
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {}{} is {}, expected a number", prefix_, key, !value ? "missing" : shown(*value)));
    return 0.0;
  }
  return value->get<double>();
}

double JsonConfig::number_or(std::string_view key, double fallback) const { return has(key) ? number(key) : fallback; }

bool JsonConfig::boolean_or(std::string_view key, bool fallback) const {
  const auto value = find(key);
  if (!value) return fallback;
  if (!value->is_boolean()) {
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {}{} is {}, expected true or false", prefix_, key, shown(*value)));
    return fallback;
  }
  return value->get<bool>();
}

std::string JsonConfig::string_or(std::string_view key, std::string_view fallback) const {
  const auto value = find(key);
  if (!value) return std::string(fallback);
  if (!value->is_string()) {
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {}{} is {}, expected a string", prefix_, key, shown(*value)));
    return std::string(fallback);
  }
  return value->get<std::string>();
}

std::vector<std::int64_t> JsonConfig::integers_or_empty(std::string_view key) const {
  std::vector<std::int64_t> out;
  const auto value = find(key);
  if (!value) return out;
  bool good = value->is_array() && value->size() <= 4096;
  if (good)
    for (const JsonValue item : *value) {
      if (!item.is_number_integer()) {
        good = false;
        break;
      }
      out.push_back(item.get<std::int64_t>());
    }
  if (!good)
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {}{} is {}, expected a list of integers", prefix_, key, shown(*value)));
  return out;
}

std::vector<std::string> JsonConfig::strings_or_empty(std::string_view key) const {
  std::vector<std::string> out;
  const auto value = find(key);
  if (!value) return out;
  bool good = value->is_array() && value->size() <= 4096;
  if (good)
    for (const JsonValue item : *value) {
      if (!item.is_string()) {
        good = false;
        break;
      }
      out.push_back(item.get<std::string>());
    }
  if (!good)
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {}{} is {}, expected a list of strings", prefix_, key, shown(*value)));
  return out;
}

std::int64_t JsonConfig::uniform_integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  const auto value = find(key);
  if (!value || !value->is_array()) return integer(key, min, max);
  const std::vector<std::int64_t> list = integers_or_empty(key);
  for (const std::int64_t n : list)
    if (n != list.front() || n < min || n > max) {
      refuse(ErrorCode::unsupported,
             fmt::format("config.json: {}{} is {}, expected one integer from {} to {} for all layers", prefix_, key,
                         shown(*value), min, max));
      return min;
    }
  if (list.empty())
    refuse(ErrorCode::bad_config, fmt::format("config.json: {}{} is [], expected integers", prefix_, key));
  return list.empty() ? min : list.front();
}

bool JsonConfig::is_false(std::string_view key) const {
  const auto value = find(key);
  return value && value->is_boolean() && !value->get<bool>();
}

JsonConfig JsonConfig::object(std::string_view key) const {
  JsonConfig inner;
  inner.prefix_ = prefix_ + std::string(key) + ".";
  inner.first_error_ = first_error_;
  if (const auto value = find(key)) {
    inner.document_ = document_;
    if (value->is_object())
      inner.object_ = *value;
    else
      refuse(ErrorCode::bad_config,
             fmt::format("config.json: {}{} is {}, expected an object", prefix_, key, shown(*value)));
  }
  return inner;
}

std::string JsonConfig::architecture() const {
  const auto list = find("architectures");
  if (!list || !list->is_array() || list->empty() || !list->front().is_string()) return {};
  return list->front().get<std::string>();
}

}  // namespace moe::inline MOE_ABI::arch

#include "arch/json_config.hpp"

#include <fmt/format.h>

#include "support/json_text.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

// Long or nested values would make a message unreadable.
std::string shown(const nlohmann::json& value) { return shortened(json_text(value), 60); }

// Parsing is iterative, but dump() for a message recurses: a depth bomb must end before the stack does.
bool nested_too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > 64) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Result<JsonConfig> JsonConfig::parse(std::string_view text) {
  if (nested_too_deep(text)) return fail(ErrorCode::bad_file, "config.json: nested deeper than 64 levels");
  JsonConfig config;
  config.json_ = nlohmann::json::parse(text, nullptr, false);
  if (config.json_.is_discarded()) return fail(ErrorCode::bad_file, "config.json: not valid JSON");
  if (!config.json_.is_object())
    return fail(ErrorCode::bad_file, fmt::format("config.json: found {}, expected an object", shown(config.json_)));
  return config;
}

const nlohmann::json* JsonConfig::find(std::string_view key) const {
  const auto it = json_.find(std::string(key));
  return it == json_.end() || it->is_null() ? nullptr : &*it;
}

bool JsonConfig::has(std::string_view key) const { return find(key) != nullptr; }

void JsonConfig::refuse(ErrorCode code, std::string message) const {
  // Many of them name a text of the file.
  if (!first_error_->has_value()) *first_error_ = Error{code, printable(message)};
}

Result<void> JsonConfig::status() const {
  if (first_error_->has_value()) return tl::unexpected<Error>(**first_error_);
  return {};
}

std::int64_t JsonConfig::integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) {
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
  const nlohmann::json* value = find(key);
  if (value == nullptr || !value->is_number()) {
    refuse(ErrorCode::bad_config, fmt::format("config.json: {}{} is {}, expected a number", prefix_, key,
                                              value == nullptr ? "missing" : shown(*value)));
    return 0.0;
  }
  return value->get<double>();
}

double JsonConfig::number_or(std::string_view key, double fallback) const { return has(key) ? number(key) : fallback; }

bool JsonConfig::boolean_or(std::string_view key, bool fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {}{} is {}, expected true or false", prefix_, key, shown(*value)));
    return fallback;
  }
  return value->get<bool>();
}

std::string JsonConfig::string_or(std::string_view key, std::string_view fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) {
    refuse(ErrorCode::bad_config,
           fmt::format("config.json: {}{} is {}, expected a string", prefix_, key, shown(*value)));
    return std::string(fallback);
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
           fmt::format("config.json: {}{} is {}, expected a list of integers", prefix_, key, shown(*value)));
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
           fmt::format("config.json: {}{} is {}, expected a list of strings", prefix_, key, shown(*value)));
  return out;
}

std::int64_t JsonConfig::uniform_integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr || !value->is_array()) return integer(key, min, max);
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
  const nlohmann::json* value = find(key);
  return value != nullptr && value->is_boolean() && !value->get<bool>();
}

JsonConfig JsonConfig::object(std::string_view key) const {
  JsonConfig inner;
  inner.prefix_ = prefix_ + std::string(key) + ".";
  inner.first_error_ = first_error_;
  if (const nlohmann::json* value = find(key)) {
    if (value->is_object())
      inner.json_ = *value;
    else
      refuse(ErrorCode::bad_config,
             fmt::format("config.json: {}{} is {}, expected an object", prefix_, key, shown(*value)));
  }
  return inner;
}

std::string JsonConfig::architecture() const {
  const nlohmann::json* list = find("architectures");
  if (list == nullptr || !list->is_array() || list->empty() || !list->front().is_string()) return {};
  return list->front().get<std::string>();
}

}  // namespace moe::inline MOE_ABI::arch

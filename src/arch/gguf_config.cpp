#include "arch/gguf_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "support/json_writer.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

using checkpoint::MetaValue;

std::string shown(const MetaValue& value) {
  struct Visitor {
    std::string operator()(std::int64_t x) const { return fmt::format("{}", x); }
    std::string operator()(std::uint64_t x) const { return fmt::format("{}", x); }
    std::string operator()(double x) const { return fmt::format("{}", x); }
    std::string operator()(bool x) const { return x ? "true" : "false"; }
    std::string operator()(const std::string& x) const { return in_quotes(x); }
    std::string operator()(const std::vector<std::int64_t>& x) const { return fmt::format("{} integers", x.size()); }
    std::string operator()(const std::vector<double>& x) const { return fmt::format("{} floats", x.size()); }
    std::string operator()(const std::vector<bool>& x) const { return fmt::format("{} booleans", x.size()); }
    std::string operator()(const std::vector<std::string>& x) const { return fmt::format("{} strings", x.size()); }
  };
  return std::visit(Visitor{}, value);
}

std::optional<std::int64_t> as_integer(const MetaValue& value) {
  if (const auto* i = std::get_if<std::int64_t>(&value)) return *i;
  if (const auto* u = std::get_if<std::uint64_t>(&value))
    return *u <= static_cast<std::uint64_t>(INT64_MAX) ? std::optional<std::int64_t>(static_cast<std::int64_t>(*u))
                                                       : std::nullopt;
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value))
    if (!list->empty() && std::all_of(list->begin(), list->end(), [&](std::int64_t x) { return x == list->front(); }))
      return list->front();
  return std::nullopt;
}

}  // namespace

const MetaValue* GgufConfig::find(std::string_view key) const {
  read_.emplace(key);
  return file_.meta(prefix_ + std::string(key));
}

std::vector<UnreadKey> GgufConfig::unread() const {
  std::vector<UnreadKey> out;
  for (const std::string& key : file_.meta_keys()) {
    if (!key.starts_with(prefix_) || read_.count(std::string_view(key).substr(prefix_.size())) != 0) continue;
    JsonWriter text(JsonWriter::NotFinite::words);
    std::visit([&](const auto& value) { text.value(value); }, *file_.meta(key));
    const auto document = JsonDocument::parse(text.take());
    if (document) out.push_back({key.substr(prefix_.size()), *document, document->root()});
  }
  return out;
}

void GgufConfig::refuse(ErrorCode code, std::string message) {
  // Names come from the file.
  if (!first_error_) first_error_ = Error{code, printable(message)};
}

void GgufConfig::wrong(std::string_view key, std::string_view found, std::string_view expected) {
  refuse(ErrorCode::bad_config, fmt::format("metadata {}{} is {}, expected {}", prefix_, key, found, expected));
}

Result<void> GgufConfig::status() const {
  if (first_error_) return tl::unexpected<Error>(*first_error_);
  return {};
}

std::int64_t GgufConfig::integer(std::string_view key, std::int64_t min, std::int64_t max) {
  const MetaValue* value = find(key);
  const std::optional<std::int64_t> n = value == nullptr ? std::nullopt : as_integer(*value);
  if (!n || *n < min || *n > max) {
    wrong(key, value == nullptr ? "missing" : shown(*value), fmt::format("an integer from {} to {}", min, max));
    return min;
  }
  return *n;
}

std::int64_t GgufConfig::integer_or(std::string_view key, std::int64_t fallback, std::int64_t min, std::int64_t max) {
  return has(key) ? integer(key, min, max) : fallback;
}

std::vector<std::int64_t> GgufConfig::list_or_empty(std::string_view key) {
  const MetaValue* value = find(key);
  if (value == nullptr || as_integer(*value)) {
    const auto* list = value == nullptr ? nullptr : std::get_if<std::vector<std::int64_t>>(value);
    return list == nullptr ? std::vector<std::int64_t>{} : *list;
  }
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(value)) return *list;
  if (const auto* list = std::get_if<std::vector<bool>>(value)) return {list->begin(), list->end()};
  wrong(key, shown(*value), "an integer, or a list of integers or booleans");
  return {};
}

double GgufConfig::number(std::string_view key) {
  const MetaValue* value = find(key);
  if (value != nullptr)
    if (const auto* x = std::get_if<double>(value); x != nullptr && std::isfinite(*x)) return *x;
  wrong(key, value == nullptr ? "missing" : shown(*value), "a finite float");
  return 0.0;
}

double GgufConfig::number_or(std::string_view key, double fallback) { return has(key) ? number(key) : fallback; }

bool GgufConfig::boolean_or(std::string_view key, bool fallback) {
  const MetaValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* b = std::get_if<bool>(value)) return *b;
  wrong(key, shown(*value), "a boolean");
  return fallback;
}

std::string GgufConfig::string_or(std::string_view key, std::string_view fallback) {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (const auto* s = std::get_if<std::string>(value)) return *s;
  wrong(key, shown(*value), "a string");
  return std::string(fallback);
}

}  // namespace moe::inline MOE_ABI::arch

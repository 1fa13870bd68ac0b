#include "model/model_metadata.hpp"

#include <limits>
#include <optional>

#include "support/json.hpp"

namespace moe::inline MOE_ABI {
namespace {

bool is_short(const MetadataValue& value) {
  return std::visit(
      [](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>)
          return true;
        else
          return v.size() <= kMaxMetadataList;
      },
      value);
}

// A number above the int64 range stays a uint64.
std::optional<MetadataValue> scalar(JsonValue v) {
  if (v.is_boolean()) return v.get<bool>();
  if (v.is_string()) return v.get<std::string>();
  if (v.is_number_unsigned() && v.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) return v.get<std::uint64_t>();
  if (v.is_number_integer()) return v.get<std::int64_t>();
  if (v.is_number()) return v.get<double>();
  return std::nullopt;
}

template <class T, class Fits>
std::optional<MetadataValue> list_of(JsonValue list, Fits fits) {
  std::vector<T> out;
  for (const JsonValue v : list) {
    if (!fits(v)) return std::nullopt;
    out.push_back(v.get<T>());
  }
  return out;
}

std::optional<MetadataValue> list(JsonValue v) {
  if (v.size() > kMaxMetadataList) return std::nullopt;
  if (v.empty()) return std::vector<std::int64_t>{};
  const JsonValue first = v.front();
  if (first.is_boolean()) return list_of<bool>(v, [](JsonValue x) { return x.is_boolean(); });
  if (first.is_string()) return list_of<std::string>(v, [](JsonValue x) { return x.is_string(); });
  const auto whole = [](JsonValue x) {
    return x.is_number_integer() && !(x.is_number_unsigned() && x.get<std::uint64_t>() > std::uint64_t{INT64_MAX});
  };
  if (auto integers = list_of<std::int64_t>(v, whole)) return integers;
  return list_of<double>(v, [](JsonValue x) { return x.is_number(); });
}

// The reader bounds the depth.
void add_members(JsonValue object, const std::string& prefix, Metadata& out) {
  for (const auto& [name, value] : object.items()) {
    if (prefix.size() + name.size() > kMaxMetadataKey) continue;
    if (out.size() >= kMaxMetadataCount) return;
    std::string key = prefix + std::string(name);
    if (value.is_object()) {
      key += '.';
      add_members(value, key, out);
    } else if (auto read = value.is_array() ? list(value) : scalar(value)) {
      out.emplace(std::move(key), std::move(*read));
    }
  }
}

// Integers have one type if they fit, whatever their width and sign in the file.
MetadataValue widened(const MetadataValue& value) {
  const auto* whole = std::get_if<std::uint64_t>(&value);
  if (whole == nullptr || *whole > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return value;
  return static_cast<std::int64_t>(*whole);
}

}  // namespace

void add_json_metadata(std::string_view text, const std::string& prefix, Metadata& out) {
  const auto document = JsonDocument::parse(text);
  if (document && document->root().is_object()) add_members(document->root(), prefix, out);
}

Metadata metadata_of(const checkpoint::Checkpoint& file) {
  Metadata out;
  for (const std::string& key : file.meta_keys()) {
    const MetadataValue* value = file.meta(key);
    if (value != nullptr && key.size() <= kMaxMetadataKey && is_short(*value)) out.emplace(key, widened(*value));
  }
  if (file.kind() != checkpoint::Kind::hf) return out;
  add_json_metadata(file.config_json(), "", out);
  const auto generation = file.generation_json();
  if (generation && !generation->empty()) add_json_metadata(*generation, "generation_config.", out);
  return out;
}

}  // namespace moe::inline MOE_ABI

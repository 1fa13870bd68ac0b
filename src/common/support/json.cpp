#include "support/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

namespace moe::inline MOE_ABI {
namespace {

// ASCII, quoted and escaped.
std::string quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

const char* JsonValue::type_name() const {
  switch (kind()) {
    case Kind::null: return "null";
    case Kind::no:
    case Kind::yes: return "boolean";
    case Kind::string: return "string";
    case Kind::array: return "array";
    case Kind::object: return "object";
    default: return "number";
  }
}

double JsonValue::real() const { return std::bit_cast<double>(payload()); }

std::string_view JsonValue::text() const {
  if (!is_string()) return {};
  return std::string_view(tree_->texts).substr(static_cast<std::size_t>(payload() >> 32), payload() & 0xffffffffu);
}

std::size_t JsonValue::size() const {
  if (is_array()) return payload() & 0xffffffffu;
  std::size_t count = 0;
  const Members members = items();
  for (auto at = members.begin(); at != members.end(); ++at) ++count;
  return count;
}

JsonValue::Iterator JsonValue::begin() const { return Iterator({*tree_, is_array() ? index_ + 1 : next()}); }
JsonValue::Iterator JsonValue::end() const { return Iterator({*tree_, next()}); }

JsonValue::Members JsonValue::items() const { return {{*tree_, is_object() ? index_ + 1 : next()}, {*tree_, next()}}; }

std::optional<JsonValue> JsonValue::find(std::string_view key) const {
  if (!is_object()) return std::nullopt;
  if (const auto entry = static_cast<std::uint32_t>(payload()); entry > 0) return find_sorted(entry - 1, key);
  for (const auto& [name, value] : items())
    if (name == key) return value;
  return std::nullopt;
}

std::optional<JsonValue> JsonValue::find_sorted(std::uint32_t entry, std::string_view key) const {
  const auto first = tree_->sorted.begin() + entry + 1, last = first + tree_->sorted[entry];
  const auto text_of = [this](std::uint32_t i) { return JsonValue(*tree_, i).text(); };
  const auto at =
      std::lower_bound(first, last, key, [&](std::uint32_t i, std::string_view text) { return text_of(i) < text; });
  if (at == last || text_of(*at) != key) return std::nullopt;
  return JsonValue(*tree_, *at + 1);
}

// Recurses at most kJsonDepthLimit deep.
bool operator==(JsonValue a, JsonValue b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_number_integer() && b.is_number_integer()) return a.kind() == b.kind() && a.payload() == b.payload();
    return a.get<double>() == b.get<double>();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case JsonTree::Kind::not_finite: return a.real() == b.real();
    case JsonTree::Kind::string: return a.text() == b.text();
    case JsonTree::Kind::array: {
      if (a.size() != b.size()) return false;
      auto other = b.begin();
      for (const JsonValue element : a) {
        if (!(element == *other)) return false;
        ++other;
      }
      return true;
    }
    case JsonTree::Kind::object: {
      if (a.size() != b.size()) return false;
      for (const auto& [key, value] : a.items())
        if (const auto other = b.find(key); !other || !(value == *other)) return false;
      return true;
    }
    default: return true;
  }
}

std::string JsonValue::in_ascii(std::size_t most) const {
  std::string out;
  write(out, most);
  if (out.size() > most) out.replace(most, std::string::npos, "...");
  return out;
}

// Recurses at most kJsonDepthLimit deep, and ends soon after `most` bytes.
void JsonValue::write(std::string& out, std::size_t most) const {
  if (out.size() > most) return;
  switch (kind()) {
    case Kind::null: out += "null"; return;
    case Kind::no: out += "false"; return;
    case Kind::yes: out += "true"; return;
    case Kind::integer: out += fmt::format("{}", get<std::int64_t>()); return;
    case Kind::whole: out += fmt::format("{}", get<std::uint64_t>()); return;
    case Kind::real: out += nlohmann::json(real()).dump(); return;
    case Kind::not_finite: out += real() > 0 ? "Infinity" : real() < 0 ? "-Infinity" : "NaN"; return;
    case Kind::string: out += quoted(text().substr(0, most)); return;
    case Kind::array:
    case Kind::object: break;
  }
  bool first = true;
  const auto separate = [&] {
    if (!std::exchange(first, false)) out += ',';
    return out.size() <= most;
  };
  out += is_array() ? '[' : '{';
  for (const JsonValue element : *this) {
    if (!separate()) break;
    element.write(out, most);
  }
  for (const auto& [key, value] : items()) {
    if (!separate()) break;
    out += quoted(key.substr(0, most)) + ':';
    value.write(out, most);
  }
  out += is_array() ? ']' : '}';
}

JsonDocument::JsonDocument() {
  JsonTree tree;
  tree.kinds.push_back(JsonTree::Kind::object);
  tree.payloads.push_back(std::uint64_t{1} << 32);
  tree_ = std::make_shared<const JsonTree>(std::move(tree));
}

Result<JsonDocument> parse_json_object(std::string_view text, std::string_view what) {
  auto document = JsonDocument::parse(text);
  if (!document) return fail(document.error().code, fmt::format("{}: {}", what, document.error().message));
  if (const JsonValue root = document->root(); !root.is_object())
    return fail(ErrorCode::bad_file, fmt::format("{}: holds a JSON {}, expected an object", what, root.type_name()));
  return document;
}

}  // namespace moe::inline MOE_ABI

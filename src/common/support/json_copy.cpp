#include "support/json_copy.hpp"

#include <nlohmann/json.hpp>

namespace moe::inline MOE_ABI {
namespace {

// Keys are distinct: no need to look for each among those before it.
void append(nlohmann::json::object_t& object, std::string_view key, nlohmann::json value) {
  object.try_emplace(std::string(key), std::move(value));
}
void append(std::vector<std::pair<const std::string, nlohmann::ordered_json>>& object, std::string_view key,
            nlohmann::ordered_json value) {
  object.emplace_back(std::string(key), std::move(value));
}

}  // namespace

// Recurses at most kJsonDepthLimit deep.
template <class Json>
Json copy_json(JsonValue value) {
  using Kind = JsonTree::Kind;
  switch (value.kind()) {
    case Kind::null: return nullptr;
    case Kind::no:
    case Kind::yes: return value.get<bool>();
    case Kind::integer: return value.get<std::int64_t>();
    case Kind::whole: return value.get<std::uint64_t>();
    case Kind::real:
    case Kind::not_finite: return value.real();
    case Kind::string: return value.text();
    case Kind::array: {
      Json list = Json::array();
      for (const JsonValue element : value) list.push_back(copy_json<Json>(element));
      return list;
    }
    case Kind::object: break;
  }
  Json object = Json::object();
  auto& members = object.template get_ref<typename Json::object_t&>();
  for (const auto& [key, member] : value.items()) append(members, key, copy_json<Json>(member));
  return object;
}

template nlohmann::json copy_json(JsonValue);
template nlohmann::ordered_json copy_json(JsonValue);

}  // namespace moe::inline MOE_ABI

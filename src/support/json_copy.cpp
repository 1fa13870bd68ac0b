#include "support/json_copy.hpp"

#include <limits>
#include <nlohmann/json.hpp>

namespace moe::inline MOE_ABI {

// Recurses at most kJsonDepthLimit deep.
nlohmann::ordered_json copy_json(JsonValue value) {
  using Json = nlohmann::ordered_json;
  using Kind = JsonTree::Kind;
  switch (value.kind()) {
    case Kind::null: return nullptr;
    case Kind::no:
    case Kind::yes: return value.get<bool>();
    case Kind::integer: return value.get<std::int64_t>();
    case Kind::whole: return value.get<std::uint64_t>();
    case Kind::real: return value.get<double>();
    case Kind::not_finite: return std::numeric_limits<double>::quiet_NaN();
    case Kind::string: return value.text();
    case Kind::array: {
      Json list = Json::array();
      for (const JsonValue element : value) list.push_back(copy_json(element));
      return list;
    }
    case Kind::object: break;
  }
  // Keys are distinct: no need to look for each among those before it.
  Json object = Json::object();
  auto& members = object.get_ref<Json::object_t&>();
  for (const auto& [key, member] : value.items()) {
    std::vector<std::pair<const std::string, Json>>& list = members;
    list.emplace_back(std::string(key), copy_json(member));
  }
  return object;
}

}  // namespace moe::inline MOE_ABI

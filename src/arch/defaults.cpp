#include "arch/defaults.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

std::map<std::string, ClassDefaults, std::less<>> read_table() {
  std::map<std::string, ClassDefaults, std::less<>> out;
  const auto table = nlohmann::json::parse(kDefaultsTable, nullptr, false);
  for (const auto& [family, entry] : table.items()) {
    ClassDefaults& of = out[family];
    of.values = entry["defaults"];
    for (const auto& key : entry["nullable"]) of.nullable.insert(key.get<std::string>());
    for (const auto& [name, key] : entry["aliases"].items()) of.names.emplace_back(name, key.get<std::string>());
  }
  return out;
}

}  // namespace

const ClassDefaults* defaults_of(std::string_view family) {
  static const auto table = read_table();
  const auto found = table.find(family);
  return found == table.end() ? nullptr : &found->second;
}

}  // namespace moe::inline MOE_ABI::arch

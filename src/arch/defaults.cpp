#include "arch/defaults.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

struct Table {
  JsonDocument document;
  std::map<std::string_view, ClassDefaults> families;
};

Table read_table() {
  Table table;
  const auto document = JsonDocument::parse(kDefaultsTable);
  if (!document) return table;  // every family's, for a test
  table.document = *document;
  for (const auto& [family, entry] : document->root().items()) {
    const auto values = entry.find("defaults"), nullable = entry.find("nullable"), aliases = entry.find("aliases");
    if (!values || !nullable || !aliases) continue;
    ClassDefaults of{*values, {}, {}};
    for (const JsonValue key : *nullable) of.nullable.insert(key.get<std::string>());
    for (const auto& [name, key] : aliases->items()) of.names.emplace_back(name, key.get<std::string>());
    table.families.emplace(family, std::move(of));
  }
  return table;
}

}  // namespace

const ClassDefaults* defaults_of(std::string_view family) {
  static const Table table = read_table();
  const auto found = table.families.find(family);
  return found == table.families.end() ? nullptr : &found->second;
}

}  // namespace moe::inline MOE_ABI::arch

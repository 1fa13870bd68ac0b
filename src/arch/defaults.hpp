#pragma once
// Values of absent keys of config.json: the defaults of transformers' configuration classes. The table is generated
// (tests/data/defaults/make_defaults.py); no family has other defaults.

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moe/error.hpp"
#include "support/json.hpp"

namespace moe::inline MOE_ABI::arch {

struct ClassDefaults {
  JsonValue values;                             ///< key -> value; null if the class derives it from other keys
  std::set<std::string, std::less<>> nullable;  ///< keys that the class knows and whose value may be null
  std::vector<std::pair<std::string, std::string>> names;  ///< of one and the same key
};

/// Null for an unknown family.
const ClassDefaults* defaults_of(std::string_view family);

/// {family: {"defaults": .., "nullable": .., "aliases": ..}}
extern const std::string_view kDefaultsTable;

}  // namespace moe::inline MOE_ABI::arch

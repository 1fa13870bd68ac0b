#pragma once
// What a key of config.json means where it is absent: the defaults of transformers' configuration classes. The table is
// generated (tests/data/defaults/make_defaults.py); no family has a default of its own beside it.

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
  JsonValue values;                             ///< key -> value; null where the class works it out of other keys
  std::set<std::string, std::less<>> nullable;  ///< keys that the class knows and whose value may be null
  std::vector<std::pair<std::string, std::string>> names;  ///< of one and the same key
};

/// Null for a name that is no family.
const ClassDefaults* defaults_of(std::string_view family);

/// {family: {"defaults": .., "nullable": .., "aliases": ..}}
extern const std::string_view kDefaultsTable;

}  // namespace moe::inline MOE_ABI::arch

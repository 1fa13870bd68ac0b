#pragma once
// Checks that moe-eval's outputs are not its inputs or its store.

#include <span>
#include <string>
#include <vector>

#include "moe/error.hpp"
#include "moe/eval/prompt.hpp"

namespace eval_outputs {

struct Plan {
  std::vector<std::string> models;  ///< their names
  std::vector<std::string> paths;   ///< and where they are
  std::vector<std::string> tasks;   ///< as they were named
  std::span<const moe::eval::PreparedTask> prepared;
  std::string out, cache, started;  ///< `out`, `cache`: empty for none
};

/// Call it before the first question and before any file is created. Errors: bad_argument.
moe::Result<void> check(const Plan& plan);

}  // namespace eval_outputs

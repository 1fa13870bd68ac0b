#pragma once
// What moe-eval is about to write must not be what it reads, nor its store.

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

/// To be asked before the first question, and before anything is made. Errors: bad_argument.
moe::Result<void> check(const Plan& plan);

}  // namespace eval_outputs

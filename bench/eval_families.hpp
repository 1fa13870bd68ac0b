#pragma once
// moe-eval --families: the best of one group of models against the best of another.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "moe/eval/report.hpp"

namespace eval_families {

/// As they stand on the command line: "US=a,b".
struct Flags {
  std::vector<std::string> families;
};
void add_options(CLI::App& app, Flags& flags);

/// RunReport::families by the names of its rows, in their order. Errors: bad_argument naming the family and what is
/// wrong: no name, a model that is none of the rows, a model in two families, one family alone.
moe::Result<void> set(const Flags& flags, const std::vector<std::string>& rows, moe::eval::RunReport& report);

/// RunReport::family_gaps, once all models have answered. Errors: those of compare_families.
moe::Result<void> compare(moe::eval::RunReport& report);

}  // namespace eval_families

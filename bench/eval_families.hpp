#pragma once
// moe-eval --families and --reference: groups of models to compare.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "moe/eval/report.hpp"

namespace eval_families {

/// As given on the command line: "US=a,b".
struct Flags {
  std::vector<std::string> families;
  std::string reference;  ///< "a,b"
};
void add_options(CLI::App& app, Flags& flags);

/// RunReport::families and RunReport::reference by the names of its rows, in their order. Errors: bad_argument naming
/// the group and what is wrong: no name, a model that is none of the rows or there twice, one family alone.
moe::Result<void> set(const Flags& flags, const std::vector<std::string>& rows, moe::eval::RunReport& report);

/// RunReport::family_gaps and RunReport::multipliers, once all models have answered. Errors: those of compare_families
/// and multipliers_of.
moe::Result<void> compare(moe::eval::RunReport& report);

}  // namespace eval_families

#pragma once
// moe-eval report, and the report beside each run.json.

#include <functional>
#include <string>
#include <vector>

#include "moe/error.hpp"
#include "moe/eval/report.hpp"
#include "tools/common/program.hpp"

namespace report_command {

struct Options {
  std::vector<std::string> runs;
  std::string out;  ///< empty: the folder of the first run
  std::string svg;  ///< a file for the first picture; empty: none
};

/// The subcommand with its options.
CLI::App* add(CLI::App& app, Options& options);

/// report.html, report.md and report.csv of the runs; the verdict and the files' names on standard output.
moe::Result<void> run(const Options& options);

/// The same of a run that has just ended, in its folder.
moe::Result<void> write_beside(const moe::eval::RunReport& report, const std::string& folder);

}  // namespace report_command

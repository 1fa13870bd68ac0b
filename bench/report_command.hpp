#pragma once
// moe-eval report, and the report beside each run.json.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "moe/error.hpp"
#include "moe/eval/report.hpp"
#include "tools/common/program.hpp"

namespace report_command {

struct Options {
  std::vector<std::string> runs;  ///< files, or with `cache` numbers of evaluations
  std::string cache;              ///< a store; empty: `runs` are files
  std::string out;                ///< empty: the folder of the first run
  std::string svg;                ///< a file for the first picture; empty: none
};

/// Of a run.json.
inline constexpr std::uint64_t kMostBytes = std::uint64_t{128} << 20;
/// A run.json itself, or the one of a folder.
std::string file_of(const std::string& run);

/// The subcommand with its options.
CLI::App* add(CLI::App& app, Options& options);

/// report.html, report.md and report.csv of the runs (of a store: by default the last one); the verdict and the files'
/// names on standard output.
moe::Result<void> run(const Options& options);

/// The same of a run that has just ended, in its folder.
moe::Result<void> write_beside(const moe::eval::RunReport& report, const std::string& folder);

}  // namespace report_command

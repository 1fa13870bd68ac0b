#pragma once
// moe-eval index: published MMLU scores against compute, and measured models beside them.

#include <string>
#include <vector>

#include "moe/error.hpp"
#include "tools/common/program.hpp"

namespace index_command {

struct Options {
  std::vector<std::string> runs;
  std::string csv;  ///< empty: the built-in table
  std::string out;  ///< a folder; empty: only the terminal
  std::string svg;  ///< a file for the picture; empty: none
  bool verbose = false;
};

/// The subcommand with its options.
CLI::App* add(CLI::App& app, Options& options);

/// The tables on standard output; index.html and index.md if a folder is given.
moe::Result<void> run(const Options& options);

}  // namespace index_command

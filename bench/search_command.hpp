#pragma once
// moe-eval search: fewer experts per token where this costs the least accuracy. Greedy, layer by layer, on one half of
// the questions; the verdict comes from the other half only.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "moe/eval/evaluate.hpp"
#include "moe/model.hpp"

namespace search_command {

struct Options {
  double budget = 0.9;
};
/// The subcommand with its options; it takes those of moe-eval itself as well.
CLI::App* add(CLI::App& app, Options& options);

/// The searched model, and how to evaluate a setting.
struct Search {
  std::string name;
  std::shared_ptr<const moe::Model> model;  ///< with the experts that it starts from
  std::vector<moe::eval::PreparedTask> tasks;
  double budget = 0.9;
  std::uint64_t seed = 0;
  /// `label` is for the progress line.
  std::function<moe::Result<moe::eval::TaskOutcome>(const std::shared_ptr<const moe::Model>& model,
                                                    const moe::eval::PreparedTask& task, const std::string& label)>
      ask;
};

/// The questions in two halves, whole clusters each, drawn by the seed. Errors: bad_argument below two clusters.
struct Halves {
  std::vector<moe::eval::PreparedTask> search, verdict;
};
moe::Result<Halves> split(const std::vector<moe::eval::PreparedTask>& tasks, std::uint64_t seed);

/// Searches and prints what it found. Errors: bad_argument when a task has no accuracy or the budget is out of reach,
/// bad_config for a dense model, those of `ask`.
moe::Result<void> run(const Search& search);

}  // namespace search_command

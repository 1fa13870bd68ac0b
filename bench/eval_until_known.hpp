#pragma once
// moe-eval --until-known: its options, and the comparison of models with early stopping.

#include <CLI/CLI.hpp>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "moe/eval/report.hpp"
#include "moe/eval/session_model.hpp"
#include "moe/eval/store.hpp"

namespace eval_until_known {

/// The options as given on the command line.
struct Flags {
  bool wanted = false;
  double alpha = 0.05, margin_points = 0;
};
void add_options(CLI::App& app, Flags& flags);

/// Finds errors early: --families given too, too few models, tasks without right and wrong answers, models that do not
/// fit in memory together.
/// `paths`: of the rows; equal neighbours share their weights. Errors: bad_argument, unsupported, out_of_memory.
moe::Result<void> check(const Flags& flags, const std::vector<std::string>& paths, const moe::eval::RunReport& report);

/// A loaded model.
struct Row {
  std::unique_ptr<moe::eval::SessionModel> scorer;
  moe::eval::StoreSetting setting;
};
/// `report.models` has one run per row. Afterwards tasks, outcomes and report.until_known are those of the questions
/// that were asked. `store` may be empty. Errors: those of the models, cancelled.
moe::Result<void> ask(const Flags& flags, std::span<const Row> rows, const moe::ParallelFor& threads,
                      moe::eval::RunStore* store, moe::eval::RunReport& report);

}  // namespace eval_until_known

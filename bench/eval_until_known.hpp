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
#include "moe/memory_plan.hpp"

namespace eval_until_known {

/// The options as given on the command line.
struct Flags {
  bool wanted = false;
  double alpha = 0.05, margin_points = 0;
};
void add_options(CLI::App& app, Flags& flags);

/// Finds errors early: --families given too, too few rows, tasks without right and wrong answers. Errors: bad_argument,
/// unsupported.
moe::Result<void> check(const Flags& flags, std::size_t rows, const moe::eval::RunReport& report);

/// A row's model, and what its session needs; `limit` is that of the whole process, 0: the default.
struct Load {
  std::string path;
  moe::MemoryRequest request;
};
/// The limit of each row: all rows answer each block of questions before the next, so all of them stay loaded, and the
/// limit of the process is divided among them. Empty where the default limit is enough for all. Equal neighbours
/// share their weights. `reads_experts`: there is a --pack-cache. Errors: out_of_memory, those of Model::inspect.
moe::Result<std::vector<std::int64_t>> limits(const std::vector<Load>& rows, bool reads_experts);

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

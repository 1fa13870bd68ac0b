#pragma once
// What the questions of a row take, before its model is loaded.

#include <vector>

#include "bench/eval_rows.hpp"
#include "moe/eval/cost_model.hpp"
#include "moe/eval/task.hpp"

namespace eval_cost {

struct Counted {
  moe::eval::RunCost cost;
  bool has_tokenizer = true;  ///< false: its tokens are estimated
};

/// `config`: of the row's model; `tasks`: with the row's prompts. Errors: those of moe::eval::evaluate, and of a
/// tokenizer that is there and cannot be used.
moe::Result<Counted> count(const eval_rows::Setting& row, const moe::ModelConfig& config,
                           const std::vector<moe::eval::PreparedTask>& tasks, const eval_rows::Options& o,
                           const moe::ParallelFor& threads);

/// Of memory, what the questions of all rows take: files and prompts.
std::int64_t question_bytes(const std::vector<moe::eval::PreparedTask>& tasks);
/// What a row adds: its own prompts, if it has a chat template (`own`), and the answers to `tasks`, which stay for the
/// report.
std::int64_t row_bytes(const std::vector<moe::eval::PreparedTask>& tasks,
                       const std::vector<moe::eval::PreparedTask>& own);

}  // namespace eval_cost

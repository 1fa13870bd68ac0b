#pragma once
// moe-eval --plan: what a run will take, before anything is read but headers and questions.

#include <string>
#include <vector>

#include "bench/eval_rows.hpp"
#include "bench/peaks.hpp"
#include "moe/eval/cost_model.hpp"
#include "moe/eval/task.hpp"
#include "moe/memory_plan.hpp"

namespace eval_plan {

/// How fast this machine is.
struct Speeds {
  moe_bench::Peaks peaks;
  double disk_bytes = 0.0;  ///< per second; 0: not needed
};

/// One row.
struct Plan {
  std::string name;
  std::string weights;  ///< their format, or what is assumed
  bool has_tokenizer = true;
  moe::MemoryPlan memory;
  moe::eval::RunCost cost;

  /// Steps over all of the model's weights.
  std::int64_t passes() const;
  /// Seconds of reading, and of computing at the share of the peak that libmoe's products reach.
  double read_seconds(const Speeds& speeds) const;
  double compute_seconds(const Speeds& speeds) const;
  /// Reading is hidden behind computing, but for one of the two.
  double seconds(const Speeds& speeds) const;
};

/// As the terminal shows it.
std::string text_of(const Plan& plan, const Speeds& speeds);

/// Prints the plan of each row. Errors: those of moe::plan_memory (naming the row), of the tasks, io, cancelled.
moe::Result<void> run(const eval_rows::Options& o, const std::vector<eval_rows::Setting>& rows);

}  // namespace eval_plan

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

/// How fast the experts of a row are read.
struct Disk {
  double bytes_per_second = 0.0;  ///< 0: not measured
  std::string how;                ///< what was measured, or why nothing could be
};

/// One row.
struct Plan {
  std::string name;
  std::string weights;  ///< their format, or what is assumed
  bool has_tokenizer = true;
  bool has_pack = true;  ///< --pack-cache was given
  moe::MemoryPlan memory;
  bool is_reference = false;      ///< Precision::reference: products in float32
  double share_of_experts = 0.0;  ///< that a token chooses: top_k of all
  std::int64_t read_bytes = 0;    ///< of a read of experts, as the disk is measured
  Disk disk;                      ///< where experts are read
  moe::eval::RunCost cost;
  std::int64_t cache_tokens = 0;  ///< of the run's session, which has more than the plan's where no plan binds it

  /// That a step writes: one token of each.
  std::int64_t replies_side_by_side() const;
  /// Steps of the model: over prompts, and of replies, a token of each that is written side by side.
  std::int64_t prompt_passes() const;
  std::int64_t reply_passes() const;
  /// From the disk where experts are read, else from memory.
  std::int64_t bytes_to_read() const;
  /// Seconds of reading, and of computing at the share of the peak that libmoe's products reach.
  double read_seconds(const moe_bench::Peaks& peaks) const;
  double compute_seconds(const moe_bench::Peaks& peaks) const;
  double peak_ops(const moe_bench::Peaks& peaks) const;
  /// What reading is limited by; 0: it was not measured.
  double bytes_per_second(const moe_bench::Peaks& peaks) const;
};

/// As the terminal shows it.
std::string text_of(const Plan& plan, const moe_bench::Peaks& peaks);

/// Prints the plan of each row. A disk that cannot be measured is no error. Errors: those of moe::plan_memory (naming
/// the row), of the tasks, of chat templates (also that a row has none), of a tokenizer that is there and cannot be used,
/// cancelled.
moe::Result<void> run(const eval_rows::Options& o, const std::vector<eval_rows::Setting>& rows,
                      const eval_chat::Rows& chat);

}  // namespace eval_plan

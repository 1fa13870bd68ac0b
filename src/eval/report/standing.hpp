#pragma once
// The models with results for one task: cost, accuracy, front.

#include <optional>
#include <span>
#include <vector>

#include "moe/eval/report.hpp"

namespace moe::inline MOE_ABI::eval {

/// Whether questions are right or wrong, so that models can be compared.
inline bool has_accuracy(std::span<const MetricColumn> columns) { return headline_column(columns) < columns.size(); }

/// Model FLOPs, on average over the questions.
double flops_per_question(const PreparedTask& task, const TaskOutcome& outcome);

struct Standing {
  std::vector<const ModelRun*> models;             ///< those with an outcome of the task; the others follow their order
  std::vector<double> cost, accuracy;              ///< FLOPs of a question, share of right answers
  std::vector<bool> front;                         ///< pareto_front()
  std::vector<std::optional<double>> multipliers;  ///< compute_multipliers()
};
Standing standing_of(const RunReport& report, std::size_t task);

}  // namespace moe::inline MOE_ABI::eval

#include "eval/report/standing.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::eval {

double flops_per_question(const PreparedTask& task, const TaskOutcome& outcome) {
  return static_cast<double>(outcome.model_flops) /
         static_cast<double>(std::max<std::int64_t>(task.question_count(), 1));
}

Standing standing_of(const RunReport& report, std::size_t task) {
  Standing out;
  for (const ModelRun& model : report.models) {
    if (task >= model.outcomes.size()) continue;
    out.models.push_back(&model);
    out.cost.push_back(flops_per_question(report.tasks[task], model.outcomes[task]));
    out.accuracy.push_back(accuracy_of(report.tasks[task], model.outcomes[task]).value);
  }
  out.front = pareto_front(out.cost, out.accuracy);
  std::vector<bool> reference;
  for (const ModelRun* model : out.models)
    if (const auto index = static_cast<std::size_t>(model - report.models.data()); !report.reference.empty())
      reference.push_back(std::find(report.reference.begin(), report.reference.end(), index) != report.reference.end());
  out.multipliers = compute_multipliers(out.cost, out.accuracy, reference);
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

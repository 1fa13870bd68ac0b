// Models of the user's own, from run.json.

#include <fmt/format.h>

#include <map>

#include "eval/report/ai_index.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval::ai_index {
namespace {

constexpr std::size_t kMostModels = 100;  // a picture holds 200 points
constexpr std::string_view kTask = "mmlu";

bool is_mmlu(const read::Task& task) { return std::string_view(task.name).starts_with(kTask); }

Result<Measured> measured(const read::Run& run, std::size_t index, std::size_t m, std::size_t t) {
  const read::Model& model = run.models[m];
  const read::Task& task = model.tasks[t];
  const std::string at = fmt::format("models[{}].tasks[{}]", m, t);
  if (!task.accuracy)
    return fail(ErrorCode::bad_file, fmt::format("{}: {}: task {} has no accuracy, expected a task of choices",
                                                 printable(run.file), at, in_quotes(task.name)));
  if (model.weight_flops_per_token == 0 || task.tokens == 0 || task.model_flops == 0)
    return fail(ErrorCode::bad_file,
                fmt::format("{}: {}: weight_flops_per_token is {}, model_flops {}, model_tokens {}, expected numbers "
                            "above 0: without compute a model has no place",
                            printable(run.file), at, model.weight_flops_per_token, task.model_flops, task.tokens));
  Measured out;
  out.label = model.name, out.file = run.file, out.task = task.name;
  out.at = fmt::format("{}/models/{}/tasks/{}", index, m, t);
  out.questions = task.questions, out.shots = task.shots;
  out.accuracy = *task.accuracy, out.chance = task.chance;
  out.standard_error = task.standard_error, out.interval = task.interval;
  out.gflops_per_token = static_cast<double>(model.weight_flops_per_token) / 1e9;
  out.gflops_per_run_token = static_cast<double>(task.model_flops) / static_cast<double>(task.tokens) / 1e9;
  return out;
}

// Duplicate names get their task, and if necessary their run.
void tell_apart(std::vector<Measured>& rows) {
  std::map<std::string, int> names, names_and_tasks;
  for (const Measured& row : rows) ++names[row.label], ++names_and_tasks[row.label + "\n" + row.task];
  std::map<std::string, int> seen;
  for (Measured& row : rows) {
    const std::string key = row.label + "\n" + row.task;
    if (names[row.label] > 1 && names_and_tasks[key] < names[row.label]) row.label += ", " + row.task;
    if (names_and_tasks[key] > 1) row.label += fmt::format(" ({})", ++seen[key]);
  }
}

}  // namespace

Result<MeasuredModels> measured_models(std::span<const read::Run> runs) {
  MeasuredModels out;
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const std::size_t before = out.rows.size();
    std::map<std::string, bool> others;
    for (std::size_t m = 0; m < runs[r].models.size(); ++m)
      for (std::size_t t = 0; t < runs[r].models[m].tasks.size(); ++t) {
        if (!is_mmlu(runs[r].models[m].tasks[t])) {
          others[runs[r].models[m].tasks[t].name] = true;
          continue;
        }
        auto row = measured(runs[r], r, m, t);
        if (!row) return forward(row);
        out.rows.push_back(std::move(*row));
        if (out.rows.size() > kMostModels)
          return fail(ErrorCode::bad_file, fmt::format("{}: more than {} measured results in all, expected fewer",
                                                       printable(runs[r].file), kMostModels));
      }
    std::string names;
    for (const auto& other : others) names += (names.empty() ? "" : ", ") + in_quotes(other.first);
    if (out.rows.size() == before)
      return fail(ErrorCode::bad_file,
                  fmt::format("{}: the run asked {}, expected a task whose name begins with {}: published scores are "
                              "of MMLU",
                              printable(runs[r].file), names.empty() ? "no task" : shortened(names, 200), kTask));
    if (!others.empty())
      out.left_out.push_back(fmt::format("{}: {} left out, not MMLU.", runs[r].file, shortened(names, 200)));
  }
  tell_apart(out.rows);
  return out;
}

}  // namespace moe::inline MOE_ABI::eval::ai_index

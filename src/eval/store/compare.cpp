// Comparisons between the models of a run: accuracies and paired gaps.

#include <algorithm>
#include <cmath>

#include "moe/eval/report.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// One 0/1 score per question, in file order of the subtasks, and the cluster of each.
void collect(const PreparedTask& task, const TaskOutcome& outcome, std::vector<double>& scores,
             std::vector<std::string>& clusters) {
  const std::size_t at = headline_column(task.spec.metrics);
  if (at == task.spec.metrics.size()) return;
  for (std::size_t s = 0; s < task.subtasks.size(); ++s)
    for (std::size_t d = 0; d < task.subtasks[s].documents.size(); ++d) {
      scores.push_back(outcome.documents[s][d].metrics[at]);
      clusters.push_back(task.subtasks[s].documents[d].cluster);
    }
}

}  // namespace

Accuracy accuracy_of(const PreparedTask& task, const TaskOutcome& outcome) {
  std::vector<double> scores;
  std::vector<std::string> clusters;
  collect(task, outcome, scores, clusters);
  Accuracy out;
  if (scores.empty()) return out;
  for (double s : scores) out.value += s;
  out.value /= static_cast<double>(scores.size());
  out.standard_error = clustered_standard_error(scores, clusters);
  out.clusters = count_clusters(clusters);
  return out;
}

std::optional<std::pair<double, double>> interval_of(const Accuracy& accuracy, std::int64_t questions) {
  const bool is_clustered = accuracy.clusters < questions;
  if (questions < 1 || (is_clustered && accuracy.clusters < 2)) return std::nullopt;
  const auto n = static_cast<double>(questions);
  const std::int64_t right = std::llround(accuracy.value * n);
  if (questions < 100 || std::min(right, questions - right) < 10) {
    if (!is_clustered) return wilson_interval(right, questions);
    // All right or all wrong say nothing of how alike a cluster's questions are: then each cluster is one question.
    const double variance = accuracy.value * (1 - accuracy.value), error = accuracy.standard_error.value_or(0);
    const bool is_known = right > 0 && right < questions;
    const double independent =
        is_known ? std::min(n, variance / (error * error)) : static_cast<double>(accuracy.clusters);
    return wilson_interval_of_share(accuracy.value, independent, interval_factor(accuracy.clusters));
  }
  if (!accuracy.standard_error) return std::nullopt;
  const double half = interval_factor(accuracy.clusters) * *accuracy.standard_error;
  return std::pair{std::max(0.0, accuracy.value - half), std::min(1.0, accuracy.value + half)};
}

std::vector<Comparison> compare_models(const RunReport& report) {
  std::vector<Comparison> out;
  if (report.until_known) return out;
  for (std::size_t t = 0; t < report.tasks.size(); ++t)
    for (std::size_t a = 0; a < report.models.size(); ++a)
      for (std::size_t b = 0; b < report.models.size(); ++b) {
        const bool wanted = report.baseline.empty() ? a < b : a != b && report.models[b].name == report.baseline;
        if (!wanted || report.models[a].outcomes.size() <= t || report.models[b].outcomes.size() <= t) continue;
        std::vector<double> scores_a, scores_b;
        std::vector<std::string> clusters, same;
        collect(report.tasks[t], report.models[a].outcomes[t], scores_a, clusters);
        collect(report.tasks[t], report.models[b].outcomes[t], scores_b, same);
        const auto gap = paired_gap(scores_a, scores_b, clusters);
        if (gap) out.push_back({t, a, b, *gap, 1});
      }
  std::vector<double> p_values;
  for (const Comparison& c : out) p_values.push_back(c.gap.p_value);
  const std::vector<double> adjusted = holm(p_values);
  for (std::size_t i = 0; i < out.size(); ++i) out[i].adjusted_p = adjusted[i];
  return out;
}

Result<std::vector<std::vector<ComputeMultiplier>>> multipliers_of(const RunReport& report, MultiplierOptions options) {
  std::vector<std::vector<ComputeMultiplier>> out(report.tasks.size());
  options.reference.assign(report.reference.empty() ? 0 : report.models.size(), false);
  for (const std::size_t m : report.reference) options.reference[m] = true;
  for (std::size_t t = 0; t < report.tasks.size() && !report.until_known && report.models.size() > 1; ++t) {
    std::vector<std::vector<double>> flops, scores;
    std::vector<std::string> clusters;
    for (const ModelRun& model : report.models) {
      if (t >= model.outcomes.size()) break;
      clusters.clear();
      collect(report.tasks[t], model.outcomes[t], scores.emplace_back(), clusters);
      auto& of_model = flops.emplace_back();
      for (const auto& subtask : model.outcomes[t].documents)
        for (const DocumentOutcome& document : subtask) of_model.push_back(static_cast<double>(document.flops));
    }
    if (flops.size() < report.models.size() || clusters.empty()) continue;
    auto multipliers = compute_multipliers(flops, scores, clusters, options);
    if (!multipliers) return forward(multipliers);
    out[t] = std::move(*multipliers);
  }
  return out;
}

Result<std::vector<FamilyComparison>> compare_families(const RunReport& report, const FamilyOptions& options) {
  std::vector<FamilyComparison> out;
  for (std::size_t t = 0; t < report.tasks.size(); ++t) {
    const TaskSpec& spec = report.tasks[t].spec;
    if (headline_column(spec.metrics) == spec.metrics.size()) continue;
    for (std::size_t a = 0; a < report.families.size(); ++a)
      for (std::size_t b = a + 1; b < report.families.size(); ++b) {
        std::vector<std::string> clusters;
        const auto scores_of = [&](const Family& family) {
          std::vector<std::vector<double>> scores;
          for (const std::size_t m : family.models) {
            clusters.clear();
            collect(report.tasks[t], report.models[m].outcomes[t], scores.emplace_back(), clusters);
          }
          return scores;
        };
        const Family &first = report.families[a], &second = report.families[b];
        const auto of_first = scores_of(first), of_second = scores_of(second);
        if (count_clusters(clusters) < 2) continue;  // no interval can be had; the accuracies stand in the tables
        auto gap = family_gap(of_first, of_second, clusters, options);
        if (!gap)
          return fail(gap.error().code, "task '" + spec.name + "', families '" + first.name + "' and '" + second.name +
                                            "': " + gap.error().message);
        gap->best_a = first.models[gap->best_a], gap->best_b = second.models[gap->best_b];
        out.push_back({t, a, b, *gap});
      }
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

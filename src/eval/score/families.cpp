#include "moe/eval/families.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "eval/score/python_random.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// What a replicate adds up: the questions of each cluster, and every model's score on them, cluster by cluster.
struct ClusterSums {
  std::vector<double> questions;
  std::vector<double> scores;  // [cluster, model]
  std::size_t models = 0;
};

ClusterSums add_up(const std::vector<const std::vector<double>*>& models, std::span<const std::string> clusters) {
  ClusterSums out;
  out.models = models.size();
  std::unordered_map<std::string, std::size_t> index_of;
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    std::size_t at = out.questions.size();
    if (!clusters[i].empty()) at = index_of.emplace(clusters[i], at).first->second;
    if (at == out.questions.size()) {
      out.questions.push_back(0);
      out.scores.resize(out.scores.size() + models.size(), 0.0);
    }
    out.questions[at] += 1;
    for (std::size_t m = 0; m < models.size(); ++m) out.scores[at * models.size() + m] += (*models[m])[i];
  }
  return out;
}

std::size_t best(std::span<const double> scores) {
  return static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

// Gap of the two maxima, as scores of `questions` questions.
double gap_of(std::span<const double> totals, std::size_t of_a, double questions) {
  const auto a = totals.first(of_a), b = totals.subspan(of_a);
  return (a[best(a)] - b[best(b)]) / questions;
}

Result<void> check(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b,
                   std::size_t questions, const FamilyOptions& options) {
  if (a.empty() || b.empty()) return fail(ErrorCode::bad_argument, "family_gap: a family has no model");
  if (options.replicates < 2) return fail(ErrorCode::bad_argument, "family_gap: fewer than 2 replicates");
  for (const auto* family : {&a, &b})
    for (const std::vector<double>& scores : *family)
      if (scores.size() != questions)
        return fail(ErrorCode::bad_argument, "family_gap: " + std::to_string(scores.size()) + " scores, " +
                                                 std::to_string(questions) + " questions; expected equal counts");
  return {};
}

}  // namespace

Result<FamilyGap> family_gap(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b,
                             std::span<const std::string> clusters, const FamilyOptions& options) {
  if (auto ok = check(a, b, clusters.size(), options); !ok) return forward(ok);
  std::vector<const std::vector<double>*> models;
  for (const auto* family : {&a, &b})
    for (const std::vector<double>& scores : *family) models.push_back(&scores);
  const ClusterSums sums = add_up(models, clusters);
  const std::size_t count = sums.questions.size();
  if (count < 2) return fail(ErrorCode::bad_argument, "family_gap: fewer than 2 clusters of questions");

  std::vector<double> totals(models.size(), 0.0), gaps;
  for (std::size_t c = 0; c < count; ++c)
    for (std::size_t m = 0; m < models.size(); ++m) totals[m] += sums.scores[c * models.size() + m];
  FamilyGap out;
  out.gap = gap_of(totals, a.size(), static_cast<double>(clusters.size()));
  out.best_a = best(std::span(totals).first(a.size())), out.best_b = best(std::span(totals).subspan(a.size()));

  PythonRandom random(options.seed);
  for (std::int64_t r = 0; r < options.replicates; ++r) {
    if (options.cancelled && options.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
    std::fill(totals.begin(), totals.end(), 0.0);
    double questions = 0;
    for (std::size_t draw = 0; draw < count; ++draw) {
      const std::size_t c = random.next_index(count);
      questions += sums.questions[c];
      for (std::size_t m = 0; m < models.size(); ++m) totals[m] += sums.scores[c * models.size() + m];
    }
    gaps.push_back(gap_of(totals, a.size(), questions));
  }
  double mean = 0, squares = 0;
  for (double gap : gaps) mean += gap;
  mean /= static_cast<double>(gaps.size());
  for (double gap : gaps) squares += (gap - mean) * (gap - mean);
  out.standard_error = std::sqrt(squares / static_cast<double>(gaps.size() - 1));
  std::sort(gaps.begin(), gaps.end());
  const auto quantile = [&](double share) {
    return gaps[static_cast<std::size_t>(share * static_cast<double>(gaps.size() - 1) + 0.5)];
  };
  out.low = quantile(0.025), out.high = quantile(0.975);
  out.replicates = options.replicates;
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

#include "moe/eval/families.hpp"

#include <algorithm>
#include <cmath>

#include "eval/score/cluster_bootstrap.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

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
  std::vector<std::span<const double>> models(a.begin(), a.end());
  models.insert(models.end(), b.begin(), b.end());
  ClusterBootstrap bootstrap(models, clusters, options.seed);
  if (bootstrap.cluster_count() < 2)
    return fail(ErrorCode::bad_argument, "family_gap: fewer than 2 clusters of questions");

  std::vector<double> totals = bootstrap.totals(), gaps;
  FamilyGap out;
  out.gap = gap_of(totals, a.size(), static_cast<double>(clusters.size()));
  out.best_a = best(std::span(totals).first(a.size())), out.best_b = best(std::span(totals).subspan(a.size()));
  for (std::int64_t r = 0; r < options.replicates; ++r) {
    if (options.cancelled && options.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
    const double questions = bootstrap.draw(totals);
    gaps.push_back(gap_of(totals, a.size(), questions));
  }
  double mean = 0, squares = 0;
  for (double gap : gaps) mean += gap;
  mean /= static_cast<double>(gaps.size());
  for (double gap : gaps) squares += (gap - mean) * (gap - mean);
  out.standard_error = std::sqrt(squares / static_cast<double>(gaps.size() - 1));
  std::sort(gaps.begin(), gaps.end());
  out.low = percentile(gaps, 0.025), out.high = percentile(gaps, 0.975);
  out.replicates = options.replicates;
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

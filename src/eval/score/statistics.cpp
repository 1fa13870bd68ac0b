// Miller, "Adding Error Bars to Evals" (arXiv:2411.00640); Wilson 1927; McNemar 1947; Holm 1979.

#include "moe/eval/statistics.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <numeric>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace moe::inline MOE_ABI::eval {
namespace {

Eigen::Map<const Eigen::ArrayXd> as_array(std::span<const double> values) {
  return {values.data(), static_cast<Eigen::Index>(values.size())};
}

// Probability of exactly k heads in n fair throws.
double fair_binomial(std::int64_t n, std::int64_t k) {
  const double dn = static_cast<double>(n), dk = static_cast<double>(k);
  return std::exp(std::lgamma(dn + 1) - std::lgamma(dk + 1) - std::lgamma(dn - dk + 1) - dn * std::log(2.0));
}

// Probability of at most k heads in n fair throws.
double fair_binomial_tail(std::int64_t n, std::int64_t k) {
  double sum = 0;
  for (std::int64_t i = 0; i <= k; ++i) sum += fair_binomial(n, i);
  return sum;
}

}  // namespace

std::optional<double> standard_error(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const auto x = as_array(values);
  const double n = static_cast<double>(values.size());
  return std::sqrt((x - x.mean()).square().sum() / (n - 1) / n);
}

std::optional<double> clustered_standard_error(std::span<const double> values, std::span<const std::string> clusters) {
  if (values.size() != clusters.size() || values.size() < 2) return std::nullopt;
  const double m = as_array(values).mean();
  std::unordered_map<std::string, std::size_t> index_of;
  std::vector<double> sums;
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::size_t at = sums.size();
    if (!clusters[i].empty()) at = index_of.emplace(clusters[i], at).first->second;
    if (at == sums.size()) sums.push_back(0);
    sums[at] += values[i] - m;
  }
  if (sums.size() < 2) return std::nullopt;
  const double count = static_cast<double>(sums.size());
  return std::sqrt(count / (count - 1) * as_array(sums).square().sum()) / static_cast<double>(values.size());
}

std::int64_t count_clusters(std::span<const std::string> clusters) {
  std::unordered_set<std::string_view> names;
  std::int64_t alone = 0;
  for (const std::string& name : clusters) {
    if (name.empty())
      ++alone;
    else
      names.insert(name);
  }
  return alone + static_cast<std::int64_t>(names.size());
}

double interval_factor(std::int64_t values) {
  constexpr double z = 1.959963984540054, z2 = z * z;
  if (values < 2) return std::numeric_limits<double>::infinity();
  const double v = static_cast<double>(values - 1);
  if (values == 2) return 12.706204736174694;
  if (values == 3) return 4.302652729749464;
  const double g1 = z * (z2 + 1) / 4, g2 = z * (z2 * (5 * z2 + 16) + 3) / 96,
               g3 = z * (z2 * (z2 * (3 * z2 + 19) + 17) - 15) / 384,
               g4 = z * (z2 * (z2 * (z2 * (79 * z2 + 776) + 1482) - 1920) - 945) / 92160;
  return z + (g1 + (g2 + (g3 + g4 / v) / v) / v) / v;
}

std::pair<double, double> wilson_interval(std::int64_t right, std::int64_t count, double z) {
  const double n = static_cast<double>(count);
  return wilson_interval_of_share(static_cast<double>(right) / n, n, z);
}

std::pair<double, double> wilson_interval_of_share(double share, double count, double z) {
  if (!(count > 0)) return {0, 1};
  const double n = count, p = share, z2 = z * z;
  const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = z / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

double chance_corrected(double accuracy, double chance) { return chance < 1 ? (accuracy - chance) / (1 - chance) : 0; }

double mcnemar_exact(std::int64_t b, std::int64_t c) {
  return std::min(1.0, 2 * fair_binomial_tail(b + c, std::min(b, c)));
}

double mcnemar_mid_p(std::int64_t b, std::int64_t c) {
  const std::int64_t n = b + c, k = std::min(b, c);
  if (n == 0) return 1;
  if (b == c) return 1.0 - fair_binomial(n, k) / 2;
  return std::min(1.0, 2 * (fair_binomial_tail(n, k) - fair_binomial(n, k) / 2));
}

std::vector<double> holm(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    largest = std::max(largest, std::min(1.0, p_values[order[i]] * static_cast<double>(order.size() - i)));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

double minimum_detectable_effect(double standard_error) {
  constexpr double kTwoSided5 = 1.959963984540054, kPower80 = 0.8416212335729143;
  return (kTwoSided5 + kPower80) * standard_error;
}

double student_two_sided(double t, std::int64_t freedom) {
  t = std::abs(t);
  if (freedom < 1 || !(t > 0)) return 1;
  if (std::isinf(t)) return 0;
  const auto v = static_cast<double>(freedom);
  const double cos2 = v / (v + t * t), sine = t / std::sqrt(v + t * t);
  const bool is_odd = freedom % 2 == 1;
  const auto ratio = [&](double k) { return cos2 * (is_odd ? (2 * k + 2) / (2 * k + 3) : (2 * k + 1) / (2 * k + 2)); };
  const std::int64_t finite = freedom / 2;
  double term = is_odd ? std::sqrt(cos2) : 1, sum = 0, k = 0;
  for (; k < static_cast<double>(finite); ++k) sum += term, term *= ratio(k);
  // Of all terms the sum is known: those behind give a small p without a difference of nearly equal numbers.
  if (t < 1) return is_odd ? 1 - 2 / std::numbers::pi * (std::atan(t / std::sqrt(v)) + sine * sum) : 1 - sine * sum;
  double rest = 0;
  for (; term > rest * 1e-17; ++k) rest += term, term *= ratio(k);
  return std::min(1.0, sine * rest * (is_odd ? 2 / std::numbers::pi : 1));
}

namespace {

// Of questions in clusters: Student's t, as the interval has it. Where all clusters differ alike there is no error to
// compare with: then each cluster is a coin.
double clustered_p(const PairedGap& gap, std::span<const double> difference, std::span<const std::string> clusters) {
  if (gap.standard_error && *gap.standard_error > 1e-9 * std::abs(gap.gap))  // less is rounding
    return student_two_sided(gap.gap / *gap.standard_error, gap.clusters - 1);
  std::map<std::string_view, double> sums;
  std::int64_t up = 0, down = 0;
  const auto count = [&](double sum) { up += sum > 0, down += sum < 0; };
  for (std::size_t i = 0; i < difference.size(); ++i)
    if (clusters[i].empty())
      count(difference[i]);
    else
      sums[clusters[i]] += difference[i];
  for (const auto& [name, sum] : sums) count(sum);
  return mcnemar_exact(up, down);
}

}  // namespace

Result<PairedGap> paired_gap(std::span<const double> a, std::span<const double> b,
                             std::span<const std::string> clusters) {
  if (a.size() != b.size() || a.empty() || (!clusters.empty() && clusters.size() != a.size()))
    return fail(ErrorCode::bad_argument, "paired_gap: " + std::to_string(a.size()) + " and " +
                                             std::to_string(b.size()) + " scores, " + std::to_string(clusters.size()) +
                                             " clusters; expected equal counts");
  PairedGap out;
  out.question_count = static_cast<std::int64_t>(a.size());
  out.clusters = clusters.empty() ? out.question_count : count_clusters(clusters);
  std::vector<double> difference(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference[i] = a[i] - b[i];
    out.only_a += a[i] > b[i];
    out.only_b += a[i] < b[i];
  }
  out.gap = as_array(difference).mean();
  out.standard_error = clusters.empty() ? standard_error(difference) : clustered_standard_error(difference, clusters);
  out.p_value = out.clusters < out.question_count ? clustered_p(out, difference, clusters)
                : out.only_a + out.only_b < 25    ? mcnemar_exact(out.only_a, out.only_b)
                                                  : mcnemar_mid_p(out.only_a, out.only_b);
  return out;
}

std::optional<std::int64_t> questions_needed(const PairedGap& gap) {
  if (!gap.standard_error || !(*gap.standard_error > 0) || gap.gap == 0) return std::nullopt;
  // The standard error falls with the root of the number of questions.
  const double times = minimum_detectable_effect(*gap.standard_error) / std::abs(gap.gap);
  const double needed = std::ceil(static_cast<double>(gap.question_count) * times * times);
  if (!(needed < 1e15)) return std::nullopt;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(needed));
}

std::optional<std::pair<double, double>> interval_of(const PairedGap& gap) {
  if (!gap.standard_error || !(*gap.standard_error > 0)) return std::nullopt;
  const double half = interval_factor(gap.clusters) * *gap.standard_error;
  return std::pair{gap.gap - half, gap.gap + half};
}

std::vector<bool> pareto_front(std::span<const double> cost, std::span<const double> score) {
  std::vector<bool> front(cost.size(), true);
  for (std::size_t i = 0; i < cost.size(); ++i)
    for (std::size_t j = 0; j < cost.size(); ++j) {
      const bool as_good = cost[j] <= cost[i] && score[j] >= score[i];
      const bool better = cost[j] < cost[i] || score[j] > score[i];
      if (as_good && (better || j < i)) front[i] = false;
    }
  return front;
}

}  // namespace moe::inline MOE_ABI::eval

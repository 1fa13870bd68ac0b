#pragma once
// Comparisons with early stopping: valid at every look (docs/STATISTICS.md).

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// ln of the two-sided beta-binomial mixture martingale after `only_a` and `only_b` discordant questions of scores 0
/// and 1: E = 2^(b+c) Beta(b+a, c+a) / Beta(a, a) with a = 2. Its mean is 1 when both models are equally good, so it
/// reaches 1 / alpha at any time with probability at most alpha (Robbins 1970).
MOE_API double log_mixture_martingale(std::int64_t only_a, std::int64_t only_b);

/// The gap of two models from clusters in random order: an interval and a p-value that are valid at all looks together.
///
/// A cluster has n questions and the sum S of their differences a - b, each in [-1, 1]; G is the size of the largest
/// cluster. The gap per question is g = E[S] / E[n]. For a candidate g, (S - g n) / G has mean 0 and is at
/// least -(1 + g), so 1 + t (S - g n) / (G (1 + g)) is a fair bet for every t in [0, 1]; the product of these
/// factors, averaged over t with weight 1 - t^2, is the capital of a bettor on a gap above g. Exchanging the models
/// gives the bettor on a gap below g. A candidate is rejected when either capital reaches 2 / alpha (hedged capital:
/// Waudby-Smith & Ramdas 2023, arXiv:2010.09686). Clusters of one question make the plain betting interval of the mean
/// difference; there the two capitals at g = 0 average to the mixture martingale above.
///
/// Deterministic: the same clusters in any order give the same bits at the same looks. A look costs at most
/// O(17 * 64 * distinct (S, n)).
class MOE_API GapSequence {
 public:
  /// alpha: in (0, 1), the probability that the interval ever misses the true gap; largest_cluster: at least 1.
  GapSequence(double alpha, std::int64_t largest_cluster);

  /// Adds a cluster. Errors: bad_argument for questions outside [1, largest_cluster] or an impossible sum.
  Result<void> add(double sum, std::int64_t questions);
  /// Updates interval and p-value from all clusters so far. The interval only shrinks; if every candidate is rejected
  /// (of probability alpha at most) it stays a point.
  void look();

  std::int64_t question_count() const { return questions_; }
  /// Mean difference per question so far; 0 before the first.
  double gap() const;
  double lower() const;
  double upper() const;
  /// For the hypothesis of no gap, valid at every look: the smallest 1 / E so far, at most 1.
  double p_value() const { return p_value_; }

 private:
  // ln of the capital of the bettor on a gap above `candidate`; below it with sign -1.
  double log_capital(double candidate, double sign) const;
  // The last rejected grid step, searching from `from`.
  std::int64_t advance(std::int64_t from, std::int64_t limit, double sign) const;

  double alpha_ = 0.05;
  std::int64_t largest_ = 1, questions_ = 0;
  double p_value_ = 1;
  std::int64_t lower_ = 0, upper_ = 0;                              // in grid steps, each from its own end
  std::map<std::pair<double, std::int64_t>, std::int64_t> counts_;  // (S, n) -> clusters
};

}  // namespace moe::inline MOE_ABI::eval

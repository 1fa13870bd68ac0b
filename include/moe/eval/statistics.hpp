#pragma once
// Standard errors, intervals and tests of differences between models.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// sd / sqrt(n) with the sample deviation (n - 1). Empty for fewer than two values.
MOE_API std::optional<double> standard_error(std::span<const double> values);

/// Standard error for clustered questions (a shared passage), which are not independent: sqrt(C/(C-1) * sum over
/// clusters of (sum of residuals)^2) / n. An empty cluster name is a cluster of its own. No value for fewer than two
/// clusters.
MOE_API std::optional<double> clustered_standard_error(std::span<const double> values,
                                                       std::span<const std::string> clusters);

/// Number of clusters in the list; an empty name is a cluster of its own.
MOE_API std::int64_t count_clusters(std::span<const std::string> clusters);

/// Factor of a standard error from `count` independent values for a 95 % interval: the 97.5 % point of Student's t with
/// count - 1 degrees of freedom (Abramowitz and Stegun, 26.7.5; exact for 2 and 3 values, within 0.02 for
/// more). Infinite for fewer than two.
MOE_API double interval_factor(std::int64_t count);

/// Wilson's interval for `right` of `count` at the two-sided normal quantile `z`.
MOE_API std::pair<double, double> wilson_interval(std::int64_t right, std::int64_t count, double z = 1.959963984540054);
/// The same for a share of `count` independent values, which need not be whole (an effective sample size).
MOE_API std::pair<double, double> wilson_interval_of_share(double share, double count, double z = 1.959963984540054);

/// (accuracy - chance) / (1 - chance): 0 is guessing, 1 is perfect.
MOE_API double chance_corrected(double accuracy, double chance);

/// P(|T| >= |t|) for Student's t with that many degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
MOE_API double student_two_sided(double t, std::int64_t freedom);

/// Two-sided McNemar test on the questions where exactly one model is right: b = only A, c = only B.
MOE_API double mcnemar_exact(std::int64_t b, std::int64_t c);
/// The mid-p variant: counts half of the observed outcome's probability, which makes the test less conservative.
MOE_API double mcnemar_mid_p(std::int64_t b, std::int64_t c);

/// Holm's step-down adjusted p-values, in the order given.
MOE_API std::vector<double> holm(std::span<const double> p_values);

/// The smallest true gap that a two-sided 5 % test would find with 80 % probability: (1.960 + 0.842) * se.
MOE_API double minimum_detectable_effect(double standard_error);

struct PairedGap {
  std::int64_t question_count = 0;
  std::int64_t clusters = 0;                  ///< number of independent values
  double gap = 0;                             ///< mean of a - b
  std::optional<double> standard_error = {};  ///< of the gap, paired; clustered when clusters are given
  std::int64_t only_a = 0, only_b = 0;        ///< questions that only this model got right
  /// McNemar's: exact below 25 discordant questions, mid-p above. Of questions in clusters that of Student's t, the gap
  /// over its standard error with clusters - 1 degrees of freedom.
  double p_value = 1;
};

/// 95 % interval of the gap. None when the models agree on every question.
MOE_API std::optional<std::pair<double, double>> interval_of(const PairedGap& gap);

/// Scores of 0 or 1 of two models on the same questions in the same order.
/// Errors: bad_argument when the lengths differ or nothing is given.
MOE_API Result<PairedGap> paired_gap(std::span<const double> a, std::span<const double> b,
                                     std::span<const std::string> clusters = {});

/// Number of such questions with which a two-sided 5 % test would find a gap of this size with 80 % probability.
/// Empty where the gap or its error is 0 or unknown, and beyond 10^15.
MOE_API std::optional<std::int64_t> questions_needed(const PairedGap& gap);

/// Marks the Pareto front: points that no other beats in both cost (lower) and score (higher); ties keep the first.
MOE_API std::vector<bool> pareto_front(std::span<const double> cost, std::span<const double> score);

}  // namespace moe::inline MOE_ABI::eval

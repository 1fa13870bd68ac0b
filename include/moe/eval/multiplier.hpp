#pragma once
// Iso-accuracy compute: how much more compute a reference needs for the same accuracy.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// Compute that the reference's Pareto front needs for this model's accuracy (log-linear between its points), divided
/// by the model's own compute: above 1, the model is cheaper.
struct ComputeMultiplier {
  std::optional<double> value = {};  ///< none when the front does not reach that accuracy or starts above it
  /// 95 % interval, percentiles of the replicates. No lower end where more than 2.5 % of the replicates fall below the
  /// front's first point, no upper end where more than 2.5 % lie above its last.
  std::optional<double> low = {}, high = {};
};

struct MultiplierOptions {
  std::vector<bool> reference = {};  ///< which models are the reference; empty: all others, for each model
  std::int64_t replicates = 2000;    ///< 0: no intervals
  std::uint64_t seed = 1234;
  std::function<bool()> cancelled = {};
};

/// flops[m][i] and scores[m][i]: compute and score of model m on question i. Whole clusters of questions are resampled,
/// the same for all models; each replicate has its own accuracies, compute and front. A model of the reference is
/// compared with the rest of it. Costs replicates x (clusters + models) x models.
/// Errors: bad_argument when counts differ or nothing is given; cancelled.
MOE_API Result<std::vector<ComputeMultiplier>> compute_multipliers(std::span<const std::vector<double>> flops,
                                                                   std::span<const std::vector<double>> scores,
                                                                   std::span<const std::string> clusters,
                                                                   const MultiplierOptions& options = {});

/// The values alone, of mean compute and accuracy of each model.
MOE_API std::vector<std::optional<double>> compute_multipliers(std::span<const double> flops,
                                                               std::span<const double> accuracy,
                                                               const std::vector<bool>& reference = {});

}  // namespace moe::inline MOE_ABI::eval

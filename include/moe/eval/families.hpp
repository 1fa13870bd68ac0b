#pragma once
// Compares the best model of one family with the best of another.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

struct FamilyGap {
  std::size_t best_a = 0, best_b = 0;  ///< the best models on this task; the first of equals
  double gap = 0;                      ///< best of a minus best of b
  double low = 0, high = 0;            ///< 95 % interval: percentiles of the replicates
  double standard_error = 0;           ///< deviation of the replicates
  std::int64_t replicates = 0;
  bool distinguishable() const { return low > 0 || high < 0; }
};

struct FamilyOptions {
  std::int64_t replicates = 10000;
  std::uint64_t seed = 1234;
  std::function<bool()> cancelled = {};
};

/// Bootstrap over clusters of questions. The best model of each family is selected again in each replicate, because the
/// standard error of the two winners ignores the selection. a[m][i]: score of model m on question i.
/// Errors: bad_argument when a family is empty, counts of questions differ, or there are fewer than two clusters or
/// replicates; cancelled.
MOE_API Result<FamilyGap> family_gap(const std::vector<std::vector<double>>& a,
                                     const std::vector<std::vector<double>>& b, std::span<const std::string> clusters,
                                     const FamilyOptions& options = {});

}  // namespace moe::inline MOE_ABI::eval

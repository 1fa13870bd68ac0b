#pragma once
// Resampling of whole clusters of questions, because questions about one passage are correlated.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/score/python_random.hpp"

namespace moe::inline MOE_ABI::eval {

/// Adds up columns with one number per question (scores, FLOPs of each model) over drawn clusters. A draw costs
/// clusters x columns additions.
class ClusterBootstrap {
 public:
  /// An empty cluster name is a cluster of its own. Every column is as long as `clusters`.
  ClusterBootstrap(std::span<const std::span<const double>> columns, std::span<const std::string> clusters,
                   std::uint64_t seed);

  std::size_t cluster_count() const { return questions_.size(); }
  /// Sums over the original questions, one per column.
  std::vector<double> totals() const;
  /// Draws as many clusters as there are, with replacement: their sums go into `totals`. Returns their number of
  /// questions.
  double draw(std::span<double> totals);

 private:
  std::size_t columns_;
  std::vector<double> questions_;  // per cluster
  std::vector<double> sums_;       // [cluster, column]
  PythonRandom random_;
};

/// The value below which a share of the sorted values lies. At least one value.
double percentile(std::span<const double> sorted, double share);

}  // namespace moe::inline MOE_ABI::eval

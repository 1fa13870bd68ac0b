#pragma once
// Resampling of whole clusters of questions: those of one passage stand or fall together.

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
  /// An empty cluster name stands for a cluster of its own. Every column is as long as `clusters`.
  ClusterBootstrap(std::span<const std::span<const double>> columns, std::span<const std::string> clusters,
                   std::uint64_t seed);

  std::size_t cluster_count() const { return questions_.size(); }
  /// What the questions as they are add up to, one sum per column.
  std::vector<double> totals() const;
  /// As many clusters as there are, drawn with replacement: their sums into `totals`. Returns the questions in them.
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

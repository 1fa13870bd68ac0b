#include "eval/score/cluster_bootstrap.hpp"

#include <algorithm>
#include <unordered_map>

namespace moe::inline MOE_ABI::eval {

ClusterBootstrap::ClusterBootstrap(std::span<const std::span<const double>> columns,
                                   std::span<const std::string> clusters, std::uint64_t seed)
    : columns_(columns.size()), random_(seed) {
  std::unordered_map<std::string, std::size_t> index_of;
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    std::size_t at = questions_.size();
    if (!clusters[i].empty()) at = index_of.emplace(clusters[i], at).first->second;
    if (at == questions_.size()) {
      questions_.push_back(0);
      sums_.resize(sums_.size() + columns_, 0.0);
    }
    questions_[at] += 1;
    for (std::size_t c = 0; c < columns_; ++c) sums_[at * columns_ + c] += columns[c][i];
  }
}

std::vector<double> ClusterBootstrap::totals() const {
  std::vector<double> totals(columns_, 0.0);
  for (std::size_t i = 0; i < sums_.size(); ++i) totals[i % columns_] += sums_[i];
  return totals;
}

double ClusterBootstrap::draw(std::span<double> totals) {
  std::fill(totals.begin(), totals.end(), 0.0);
  double questions = 0;
  for (std::size_t n = 0; n < questions_.size(); ++n) {
    const std::size_t cluster = random_.next_index(questions_.size());
    questions += questions_[cluster];
    for (std::size_t c = 0; c < columns_; ++c) totals[c] += sums_[cluster * columns_ + c];
  }
  return questions;
}

double percentile(std::span<const double> sorted, double share) {
  return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
}

}  // namespace moe::inline MOE_ABI::eval

#include <algorithm>

#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

void ExpertLoad::add(const ExpertLoad& other) {
  expert_count = other.expert_count, layers = other.layers;
  tallies.resize(std::max(tallies.size(), other.tallies.size()));
  for (std::size_t i = 0; i < other.tallies.size(); ++i) {
    tallies[i].tokens += other.tallies[i].tokens;
    tallies[i].counts.resize(std::max(tallies[i].counts.size(), other.tallies[i].counts.size()));
    for (std::size_t j = 0; j < other.tallies[i].counts.size(); ++j) tallies[i].counts[j] += other.tallies[i].counts[j];
  }
}

}  // namespace moe::inline MOE_ABI

#pragma once
// Expert use of a task: the load of each expert, how evenly it is spread, and use by subject.

#include <cstdint>
#include <string>
#include <vector>

#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

/// Counted over computed tokens: a prefix shared by several questions counts once, for the subject of the first; an
/// answer from the store counts nothing.
struct ExpertUse {
  std::int64_t expert_count = 0;          ///< E
  std::vector<std::int64_t> layers = {};  ///< numbers of the MoE layers
  std::int64_t tokens = 0;
  std::vector<std::vector<std::int64_t>> counts = {};  ///< [MoE layer][E] tokens routed to the expert
  std::vector<double> entropy_bits = {};  ///< [MoE layer] entropy of the experts' shares; log2 E when balanced
  struct Subject {
    std::string name = {};
    std::int64_t tokens = 0;
    std::vector<std::vector<std::int64_t>> counts = {};  ///< as above
  };
  std::vector<Subject> subjects = {};  ///< those with computed tokens

  /// Mean number of routed experts per token and MoE layer: top_k, or less with RouterConfig::expert_mass.
  MOE_API double mean_experts_per_token() const;
};

/// The difference between two counts; tally i belongs to subject names[i].
MOE_API ExpertUse expert_use(const ExpertLoad& before, const ExpertLoad& after, const std::vector<std::string>& names);

}  // namespace moe::inline MOE_ABI::eval

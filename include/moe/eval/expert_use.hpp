#pragma once
// Which experts a task used: the load of each, how evenly it is spread, and which subjects use which.

#include <cstdint>
#include <string>
#include <vector>

#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

/// Counted over the tokens that were really computed: a prefix that several questions share counts once, for the subject
/// of the first of them; an answer out of a store counts nothing.
struct ExpertUse {
  std::int64_t expert_count = 0;          ///< E
  std::vector<std::int64_t> layers = {};  ///< the MoE layers by their numbers
  std::int64_t tokens = 0;
  std::vector<std::vector<std::int64_t>> counts = {};  ///< [MoE layer][E] tokens that went to the expert
  std::vector<double> entropy_bits = {};  ///< [MoE layer] of the shares of its experts; log2 E when all are equal
  struct Subject {
    std::string name = {};
    std::int64_t tokens = 0;
    std::vector<std::vector<std::int64_t>> counts = {};  ///< as above
  };
  std::vector<Subject> subjects = {};  ///< those that a token was computed for

  /// Routed experts of a token in one MoE layer, on average: top_k, or less with RouterConfig::expert_mass.
  MOE_API double mean_experts_per_token() const;
};

/// What `after` counted beyond `before`; tally i is of subject names[i].
MOE_API ExpertUse expert_use(const ExpertLoad& before, const ExpertLoad& after, const std::vector<std::string>& names);

}  // namespace moe::inline MOE_ABI::eval

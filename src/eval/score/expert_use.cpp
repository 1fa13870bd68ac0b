#include "moe/eval/expert_use.hpp"

#include <cmath>
#include <numbers>
#include <span>

#include "moe/router_statistics.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

using Counts = std::vector<std::vector<std::int64_t>>;

void add(const std::vector<std::int64_t>& flat, std::int64_t sign, Counts& counts) {
  std::size_t i = 0;
  for (auto& layer : counts)
    for (std::int64_t& count : layer) {
      if (i == flat.size()) return;
      count += sign * flat[i++];
    }
}

}  // namespace

ExpertUse expert_use(const ExpertLoad& before, const ExpertLoad& after, const std::vector<std::string>& names) {
  ExpertUse use;
  use.expert_count = after.expert_count;
  use.layers = after.layers;
  const Counts none(use.layers.size(), std::vector<std::int64_t>(static_cast<std::size_t>(use.expert_count), 0));
  use.counts = none;
  for (std::size_t t = 0; t < after.tallies.size(); ++t) {
    ExpertUse::Subject subject{t < names.size() ? names[t] : std::string(), after.tallies[t].tokens, none};
    add(after.tallies[t].counts, 1, subject.counts);
    if (t < before.tallies.size()) {
      subject.tokens -= before.tallies[t].tokens;
      add(before.tallies[t].counts, -1, subject.counts);
    }
    if (subject.tokens == 0) continue;
    use.tokens += subject.tokens;
    for (std::size_t l = 0; l < use.counts.size(); ++l)
      for (std::size_t e = 0; e < use.counts[l].size(); ++e) use.counts[l][e] += subject.counts[l][e];
    use.subjects.push_back(std::move(subject));
  }
  for (const auto& layer : use.counts) use.entropy_bits.push_back(load_statistics(layer).entropy / std::numbers::ln2);
  return use;
}

double ExpertUse::mean_experts_per_token() const {
  std::int64_t sum = 0;
  for (const auto& layer : counts)
    for (const std::int64_t count : layer) sum += count;
  const std::int64_t runs = tokens * static_cast<std::int64_t>(layers.size());
  return runs > 0 ? static_cast<double>(sum) / static_cast<double>(runs) : 0.0;
}

}  // namespace moe::inline MOE_ABI::eval

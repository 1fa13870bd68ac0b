#include "generate/log_probabilities.hpp"

#include <algorithm>

#include "support/log_softmax.hpp"

namespace moe::inline MOE_ABI::generate {
namespace {

// The `count` highest logits, descending; equal ones by ascending id.
std::vector<TokenId> best_tokens(std::span<const float> row, std::int64_t count) {
  const auto better = [&](TokenId a, TokenId b) {
    const float x = row[static_cast<std::size_t>(a)], y = row[static_cast<std::size_t>(b)];
    return x > y || (x == y && a < b);
  };
  std::vector<TokenId> best;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (static_cast<std::int64_t>(best.size()) == count) {
      if (count == 0 || !better(id, best.back())) continue;
      best.pop_back();
    }
    best.insert(std::upper_bound(best.begin(), best.end(), id, better), id);
  }
  return best;
}

}  // namespace

PositionLogProbabilities log_probabilities_of(std::span<const float> row, std::size_t known, TokenId chosen,
                                              std::int64_t count) {
  const RowSummary summary = summarise(row);
  const auto entry = [&](TokenId id) {
    return TokenLogProbability{id, summary.log_probability(row[static_cast<std::size_t>(id)])};
  };
  PositionLogProbabilities out{entry(chosen), {}};
  for (const TokenId id : best_tokens(row.first(known), count)) out.best.push_back(entry(id));
  return out;
}

}  // namespace moe::inline MOE_ABI::generate

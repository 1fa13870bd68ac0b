#include "generate/draft_length.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::generate {
namespace {

// Measured: 0.06 to 0.15 (Qwen2.5-Coder-0.5B, Q4_K_M, steps of 2 to 16 tokens, AVX-512 with VNNI, one and two cores). A
// machine with less arithmetic for its bandwidth pays more. Too high a value costs little; too low a value costs speed.
constexpr double kDenseCost = 0.2;
constexpr double kKept = 0.9;   // of a record, from draw to draw: the last ten decide
constexpr double kPrior = 0.5;  // a right and a wrong token, halves, before anything is known
constexpr std::int64_t kFirstPause = 16, kLastPause = 128;

}  // namespace

double cost_of_token(double routed_share) { return kDenseCost + (1.0 - kDenseCost) * routed_share; }

double cost_among(double cost_of_token, std::size_t replies) {
  const auto n = static_cast<double>(replies);
  const double step = 1.0 + cost_of_token * (n - 1.0);
  return cost_of_token * n / step;
}

// Tokens of a step over its cost, with the number of tokens at its maximum.
std::int64_t LengthControl::choose(std::size_t trust, double cost, std::int64_t most) {
  most = std::min(most, limit_);
  if (is_fixed_ || most <= 0) return std::max<std::int64_t>(most, 0);
  Record& record = records_[trust];
  const double p = (record.right + kPrior) / (record.right + record.wrong + 2.0 * kPrior);
  std::int64_t best = 0;
  double best_rate = 1.0, expected = 0.0, all_right = 1.0;
  for (std::int64_t k = 1; k <= most; ++k) {
    all_right *= p;
    expected += all_right;
    const double rate = (1.0 + expected) / (1.0 + cost * static_cast<double>(k));
    if (rate > best_rate) best = k, best_rate = rate;
  }
  if (best > 0) {
    record.waited = record.pause = 0;
    return best;
  }
  if (record.pause == 0) record.pause = kFirstPause;
  if (++record.waited < record.pause) return 0;
  record.waited = 0;
  record.pause = std::min(2 * record.pause, kLastPause);
  return 1;
}

void LengthControl::note(std::size_t trust, std::int64_t drafted, std::int64_t accepted) {
  Record& record = records_[trust];
  record.right = kKept * record.right + static_cast<double>(accepted);
  record.wrong = kKept * record.wrong + (accepted < drafted ? 1.0 : 0.0);
}

}  // namespace moe::inline MOE_ABI::generate

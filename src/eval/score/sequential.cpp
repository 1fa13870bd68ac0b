// Robbins 1970 (mixture martingale); Ville 1939; Waudby-Smith & Ramdas 2023 (betting).

#include "moe/eval/sequential.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace moe::inline MOE_ABI::eval {
namespace {

// Candidates are on a grid of 2^-15 (0.003 points). Bounds are rounded outwards to it.
constexpr std::int64_t kSteps = 65536;
constexpr double kStep = 2.0 / static_cast<double>(kSteps);
constexpr std::size_t kBets = 64;

double log_beta(double x, double y) { return std::lgamma(x) + std::lgamma(y) - std::lgamma(x + y); }

struct Bet {
  double stake, log_weight;
};

// Midpoints of s in [0, 1] with t = s^2: dense for small gaps. Any weights that sum to 1 give a valid test.
std::array<Bet, kBets> make_bets() {
  std::array<Bet, kBets> bets{};
  double total = 0;
  for (std::size_t j = 0; j < kBets; ++j) {
    const double s = (static_cast<double>(j) + 0.5) / static_cast<double>(kBets);
    bets[j] = {s * s, s * (1 - s * s * s * s)};
    total += bets[j].log_weight;
  }
  for (Bet& bet : bets) bet.log_weight = std::log(bet.log_weight / total);
  return bets;
}

}  // namespace

double log_mixture_martingale(std::int64_t only_a, std::int64_t only_b) {
  constexpr double kPrior = 2;
  const double b = static_cast<double>(only_a), c = static_cast<double>(only_b);
  return (b + c) * std::log(2.0) + log_beta(b + kPrior, c + kPrior) - log_beta(kPrior, kPrior);
}

GapSequence::GapSequence(double alpha, std::int64_t largest_cluster) : alpha_(alpha), largest_(largest_cluster) {}

Result<void> GapSequence::add(double sum, std::int64_t questions) {
  if (questions < 1 || questions > largest_ || !(std::abs(sum) <= static_cast<double>(questions)))
    return fail(ErrorCode::bad_argument, "a cluster of " + std::to_string(questions) +
                                             " questions whose differences add to " + std::to_string(sum) +
                                             "; expected at most " + std::to_string(largest_) +
                                             " questions and at most 1 for each");
  ++counts_[{sum, questions}];
  questions_ += questions;
  return {};
}

double GapSequence::gap() const {
  double sum = 0;
  for (const auto& [cluster, count] : counts_) sum += cluster.first * static_cast<double>(count);
  return questions_ > 0 ? sum / static_cast<double>(questions_) : 0;
}

double GapSequence::log_capital(double candidate, double sign) const {
  static const std::array<Bet, kBets> bets = make_bets();
  std::array<double, kBets> log_products;
  const double g = sign * candidate, room = static_cast<double>(largest_) * (1 + g);
  double most = -HUGE_VAL;
  for (std::size_t j = 0; j < kBets; ++j) {
    double sum = bets[j].log_weight;
    for (const auto& [cluster, count] : counts_) {
      const double won = (sign * cluster.first - g * static_cast<double>(cluster.second)) / room;
      sum += static_cast<double>(count) * std::log1p(bets[j].stake * won);
    }
    log_products[j] = sum;
    most = std::max(most, sum);
  }
  double total = 0;
  for (double x : log_products) total += std::exp(x - most);
  return most + std::log(total);
}

// The capital falls as the candidate moves towards the bet's side, so that the rejected steps are the first ones.
std::int64_t GapSequence::advance(std::int64_t from, std::int64_t limit, double sign) const {
  const double enough = std::log(2 / alpha_);
  const auto rejected = [&](std::int64_t step) {
    return log_capital(sign * (static_cast<double>(step) * kStep - 1), sign) >= enough;
  };
  if (from >= limit || !rejected(from + 1)) return from;
  std::int64_t yes = from + 1, no = limit + 1;
  while (no - yes > 1) {
    const std::int64_t middle = yes + (no - yes) / 2;
    (rejected(middle) ? yes : no) = middle;
  }
  return yes;
}

void GapSequence::look() {
  lower_ = advance(lower_, kSteps - upper_, 1);
  upper_ = advance(upper_, kSteps - lower_, -1);
  // E = (K+ + K-) / 2 at g = 0, the mean of both capitals; p is the smallest 1 / E (docs/STATISTICS.md).
  const double up = log_capital(0, 1), down = log_capital(0, -1), most = std::max(up, down);
  const double log_e = most + std::log((std::exp(up - most) + std::exp(down - most)) / 2);
  p_value_ = std::min(p_value_, std::exp(-log_e));
}

double GapSequence::lower() const { return static_cast<double>(lower_) * kStep - 1; }
double GapSequence::upper() const { return 1 - static_cast<double>(upper_) * kStep; }

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// The next token from logits: greedy, or drawn with temperature, top-k and top-p. Same seed, same logits, same tokens
// on every compiler and CPU.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "moe/detail/math.hpp"
#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// PCG-XSH-RR 64/32 (M. O'Neill, 2014): a 64-bit linear congruential state, its high bits mixed by a shift and a
/// rotation that the top bits choose. Not for secrets.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) {
    bits();
    state_ += seed;
    bits();
  }
  /// 32 uniform bits.
  std::uint32_t bits() {
    const std::uint64_t old = state_;
    state_ = old * 6364136223846793005u + 1442695040888963407u;
    const auto mixed = static_cast<std::uint32_t>(((old >> 18) ^ old) >> 27);
    const auto turn = static_cast<std::uint32_t>(old >> 59);
    return (mixed >> turn) | (mixed << ((32u - turn) & 31u));
  }
  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform() {
    const std::uint64_t high = bits() >> 5, low = bits() >> 6;  // 27 + 26 bits
    return static_cast<double>((high << 26) | low) * 0x1p-53;
  }

 private:
  std::uint64_t state_ = 0;
};

/// Filters run in this order: temperature, top-k, top-p (as transformers does).
struct SamplingConfig {
  double temperature = 0.0;  ///< 0 = greedy: the first maximum, nothing drawn
  std::int64_t top_k = 0;    ///< only the k highest logits; 0 = all
  double top_p = 1.0;        ///< only the smallest set of best tokens that holds this share; 1 = all
  std::uint64_t seed = 0;
};

/// Position of the first maximum. Errors: bad_argument when empty, non_finite for NaN or +infinity, or nothing but
/// -inf.
[[nodiscard]] inline Result<std::int32_t> greedy_token(std::span<const float> logits) {
  if (logits.empty()) return fail(ErrorCode::bad_argument, "sampling: no logits");
  std::size_t best = 0;
  bool legal = true;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    legal &= logits[i] <= std::numeric_limits<float>::max();
    if (logits[i] > logits[best]) best = i;
  }
  if (!legal || logits[best] < -std::numeric_limits<float>::max())
    return fail(ErrorCode::non_finite, "sampling: a logit is NaN or +infinity, or all are -infinity");
  return static_cast<std::int32_t>(best);
}

/// Draws tokens; keeps its generator and its scratch between calls. One per sequence.
class Sampler {
 public:
  /// Errors: bad_argument, naming the setting.
  static Result<Sampler> make(const SamplingConfig& config) {
    const auto refuse = [](const std::string& what, double found, const char* expected) {
      return fail(ErrorCode::bad_argument, what + " is " + std::to_string(found) + ", expected " + expected);
    };
    if (!std::isfinite(config.temperature) || config.temperature < 0.0)
      return refuse("temperature", config.temperature, "a number of at least 0");
    if (!(config.top_p > 0.0 && config.top_p <= 1.0)) return refuse("top_p", config.top_p, "more than 0 and at most 1");
    if (config.top_k < 0) return refuse("top_k", static_cast<double>(config.top_k), "at least 0");
    return Sampler(config);
  }

  /// Errors: as greedy_token.
  Result<std::int32_t> next(std::span<const float> logits) {
    auto best = greedy_token(logits);
    if (!best || config_.temperature == 0.0) return best;
    const double highest = static_cast<double>(logits[static_cast<std::size_t>(*best)]);

    candidates_.clear();
    for (std::size_t i = 0; i < logits.size(); ++i)
      candidates_.push_back({logits[i], static_cast<std::int32_t>(i), 0.0});
    // Sums must not depend on how a standard library orders what it partitions: they run in index order, or sorted.
    const bool limited = config_.top_k > 0 && static_cast<std::size_t>(config_.top_k) < candidates_.size();
    if (limited) {
      const auto cut = candidates_.begin() + static_cast<std::ptrdiff_t>(config_.top_k);
      std::nth_element(candidates_.begin(), cut - 1, candidates_.end(), better);
      candidates_.erase(cut, candidates_.end());
      std::sort(candidates_.begin(), candidates_.end(), better);
    }
    double total = 0.0;
    for (Candidate& c : candidates_) {
      c.weight = detail::exp((static_cast<double>(c.logit) - highest) / config_.temperature);
      total += c.weight;
    }
    if (config_.top_p < 1.0) total = keep_nucleus(total, limited);

    const double target = rng_.uniform() * total;
    double sum = 0.0;
    std::int32_t last = *best;  // rounding may leave the sum a little below the target
    for (const Candidate& c : candidates_) {
      if (c.weight == 0.0) continue;
      sum += c.weight;
      last = c.id;
      if (sum > target) break;
    }
    return last;
  }

 private:
  struct Candidate {
    float logit;
    std::int32_t id;
    double weight;
  };
  static bool better(const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  }

  explicit Sampler(const SamplingConfig& config) : config_(config), rng_(config.seed) {}

  /// Keeps the best candidates up to and including the one that reaches top_p; returns their sum.
  double keep_nucleus(double total, bool sorted) {
    if (!sorted) {
      // All tokens below this weight together hold less than 1 - top_p: no need to sort them.
      const double negligible = (1.0 - config_.top_p) * total / static_cast<double>(candidates_.size());
      std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < negligible; });
      std::sort(candidates_.begin(), candidates_.end(), better);
    }
    double sum = 0.0;
    std::size_t kept = 0;
    while (kept < candidates_.size() && (kept == 0 || sum < config_.top_p * total)) sum += candidates_[kept++].weight;
    candidates_.resize(kept);
    return sum;
  }

  SamplingConfig config_;
  Rng rng_;
  std::vector<Candidate> candidates_;
};

}  // namespace moe::inline MOE_ABI

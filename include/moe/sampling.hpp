#pragma once
// The next token from logits: greedy, or sampled with temperature, top-k, top-p and min-p, after penalties and biases.
// Same seed, same logits, same tokens on every compiler and CPU.

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "moe/detail/math.hpp"
#include "moe/error.hpp"
#include "moe/token.hpp"

namespace moe::inline MOE_ABI {

/// PCG-XSH-RR 64/32 (M. O'Neill, 2014): a 64-bit linear congruential generator whose output is a xorshift and a
/// data-dependent rotation of the state. Not for cryptography.
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

/// Added to the logit of one token.
struct LogitBias {
  TokenId token = 0;
  double bias = 0.0;
};

/// First the logits change: repetition penalty, frequency and presence penalties, biases. Then the filters run:
/// temperature, top-k, top-p, min-p (the order of transformers). The defaults change nothing.
struct SamplingConfig {
  double temperature = 0.0;  ///< 0 = greedy: the first maximum
  std::int64_t top_k = 0;    ///< only the k highest logits; 0 = all
  double top_p = 1.0;        ///< the fewest best tokens whose probabilities reach this sum; 1 = all
  std::uint64_t seed = 0;
  double min_p = 0.0;  ///< only tokens at least this many times as likely as the best; 0 = all
  /// Tokens of the prompt and the reply: positive logits are divided by it, others multiplied (CTRL, arXiv:1909.05858,
  /// section 4.1); 1 = none.
  double repetition_penalty = 1.0;
  double frequency_penalty = 0.0;  ///< subtracted from a token's logit for each occurrence in the reply
  double presence_penalty = 0.0;   ///< subtracted once from the logit of each token in the reply
  std::vector<LogitBias> logit_bias = {};
};

/// Position of the first maximum. Errors: bad_argument when empty, non_finite for NaN or +infinity, or nothing but
/// -inf.
[[nodiscard]] inline Result<TokenId> greedy_token(std::span<const float> logits) {
  if (logits.empty()) return fail(ErrorCode::bad_argument, "sampling: no logits");
  std::size_t best = 0;
  bool legal = true;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    legal &= logits[i] <= std::numeric_limits<float>::max();
    if (logits[i] > logits[best]) best = i;
  }
  if (!legal || logits[best] < -std::numeric_limits<float>::max())
    return fail(ErrorCode::non_finite, "sampling: a logit is NaN or +infinity, or all are -infinity");
  return static_cast<TokenId>(best);
}

/// Samples tokens. Holds the random generator and, if a penalty needs them, the tokens seen. One per sequence. Scratch
/// of 20 bytes per logit belongs to the thread that draws.
class Sampler {
 public:
  /// Errors: bad_argument, naming the setting.
  static Result<Sampler> create(const SamplingConfig& config) {
    const auto refuse = [](const std::string& what, double found, const char* expected) {
      return fail(ErrorCode::bad_argument, what + " is " + std::to_string(found) + ", expected " + expected);
    };
    if (!std::isfinite(config.temperature) || config.temperature < 0.0)
      return refuse("temperature", config.temperature, "a number of at least 0");
    if (!(config.top_p > 0.0 && config.top_p <= 1.0)) return refuse("top_p", config.top_p, "more than 0 and at most 1");
    if (config.top_k < 0) return refuse("top_k", static_cast<double>(config.top_k), "at least 0");
    if (!(config.min_p >= 0.0 && config.min_p <= 1.0)) return refuse("min_p", config.min_p, "from 0 to 1");
    if (!(config.repetition_penalty > 0.0) || !std::isfinite(config.repetition_penalty))
      return refuse("repetition_penalty", config.repetition_penalty, "a number above 0");
    if (!std::isfinite(config.frequency_penalty))
      return refuse("frequency_penalty", config.frequency_penalty, "a number");
    if (!std::isfinite(config.presence_penalty)) return refuse("presence_penalty", config.presence_penalty, "a number");
    for (const LogitBias& b : config.logit_bias)
      if (!std::isfinite(b.bias) || b.token < 0)
        return fail(ErrorCode::bad_argument, "logit_bias of token " + std::to_string(b.token) + " is " +
                                                 std::to_string(b.bias) + ", expected a token id and a number");
    return Sampler(config);
  }

  /// The tokens before the reply, for the repetition penalty.
  void see_prompt(std::span<const TokenId> tokens) {
    if (config_.repetition_penalty == 1.0) return;
    for (const TokenId token : tokens) seen_.try_emplace(token, 0);
  }

  /// Another one in the same state: it draws what this one would draw.
  Sampler look_ahead() const {
    Sampler other(config_);
    other.rng_ = rng_, other.seen_ = seen_;
    return other;
  }

  /// The next token of the reply. Biases of ids beyond the logits are ignored. Errors: as greedy_token.
  Result<TokenId> next(std::span<const float> logits) {
    if (!changes_logits()) return draw(logits);
    std::vector<float>& adjusted = scratch().adjusted;
    adjusted.assign(logits.begin(), logits.end());
    adjust(adjusted);
    auto token = draw(adjusted);
    if (token && remembers()) ++seen_[*token];
    return token;
  }

 private:
  bool remembers() const {
    return config_.repetition_penalty != 1.0 || config_.frequency_penalty != 0.0 || config_.presence_penalty != 0.0;
  }
  bool changes_logits() const { return remembers() || !config_.logit_bias.empty(); }

  void adjust(std::span<float> logits) const {
    // Each token changes its own logit only, so the order of the map does not matter.
    for (const auto& [token, in_reply] : seen_) {
      if (token < 0 || static_cast<std::size_t>(token) >= logits.size()) continue;
      float& adjusted = logits[static_cast<std::size_t>(token)];
      double logit = static_cast<double>(adjusted);
      logit = logit > 0.0 ? logit / config_.repetition_penalty : logit * config_.repetition_penalty;
      if (in_reply > 0) {
        // The product is rounded on its own, never fused (docs/NUMERICS.md).
        const double frequency = config_.frequency_penalty * static_cast<double>(in_reply);
        logit -= frequency;
        logit -= config_.presence_penalty;
      }
      adjusted = static_cast<float>(logit);
    }
    for (const LogitBias& b : config_.logit_bias)
      if (static_cast<std::size_t>(b.token) < logits.size()) {
        float& logit = logits[static_cast<std::size_t>(b.token)];
        logit = static_cast<float>(static_cast<double>(logit) + b.bias);
      }
  }

  Result<TokenId> draw(std::span<const float> logits) {
    auto best = greedy_token(logits);
    if (!best || config_.temperature == 0.0) return best;
    const double highest = static_cast<double>(logits[static_cast<std::size_t>(*best)]);

    std::vector<Candidate>& candidates = scratch().candidates;
    candidates.clear();
    for (std::size_t i = 0; i < logits.size(); ++i) candidates.push_back({logits[i], static_cast<TokenId>(i), 0.0});
    // Sums run in index order or sorted: std::nth_element's order depends on the standard library.
    const bool limited = config_.top_k > 0 && static_cast<std::size_t>(config_.top_k) < candidates.size();
    if (limited) keep_best(candidates, static_cast<std::size_t>(config_.top_k));
    weigh_on_this_cpu(candidates, highest, config_.temperature);
    double total = 0.0;
    for (const Candidate& c : candidates) total += c.weight;
    if (config_.top_p < 1.0) total = keep_nucleus(candidates, total, limited);
    if (config_.min_p > 0.0) total = keep_likely(candidates);

    const double target = rng_.uniform() * total;
    double sum = 0.0;
    TokenId last = *best;  // rounding may leave the sum slightly below the target
    for (const Candidate& c : candidates) {
      if (c.weight == 0.0) continue;
      sum += c.weight;
      last = c.id;
      if (sum > target) break;
    }
    return last;
  }

  struct Candidate {
    float logit;
    TokenId id;
    double weight;
  };
  static bool better(const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  }

  // Of the calling thread: hundreds of replies share it, and each would keep megabytes.
  struct Scratch {
    std::vector<Candidate> candidates;
    std::vector<float> adjusted;
  };
  static Scratch& scratch() {
    thread_local Scratch of_thread;
    return of_thread;
  }

  // Candidates in index order, both.
  static void keep_best(std::vector<Candidate>& candidates, std::size_t count) {
    if (count > kFew) {
      sort_best_first(candidates);
    } else {
      const auto cut = candidates.begin() + static_cast<std::ptrdiff_t>(count);
      std::nth_element(candidates.begin(), cut - 1, candidates.end(), better);
      std::sort(candidates.begin(), cut, better);
    }
    candidates.resize(count);
  }
  // Radix sort for many candidates (high temperature): five times as fast as comparisons.
  // Every pass keeps the order of equal digits, so equal logits stay in index order.
  static void sort_best_first(std::vector<Candidate>& candidates) {
    if (candidates.size() <= kFew) return std::sort(candidates.begin(), candidates.end(), better);
    constexpr int kDigits = 3, kBits = 11;
    constexpr std::size_t kValues = std::size_t{1} << kBits;
    const auto digit_of = [](const Candidate& c, int digit) {
      return (key_of(c.logit) >> (digit * kBits)) & static_cast<std::uint32_t>(kValues - 1);
    };
    std::array<std::array<std::size_t, kValues>, kDigits> places = {};  // counts first
    for (const Candidate& c : candidates)
      for (int digit = 0; digit < kDigits; ++digit) ++places[static_cast<std::size_t>(digit)][digit_of(c, digit)];
    std::vector<Candidate> sorted(candidates.size());
    for (int digit = 0; digit < kDigits; ++digit) {
      auto& place = places[static_cast<std::size_t>(digit)];
      if (place[digit_of(candidates.front(), digit)] == candidates.size()) continue;
      std::exclusive_scan(place.begin(), place.end(), place.begin(), std::size_t{0});
      for (const Candidate& c : candidates) sorted[place[digit_of(c, digit)]++] = c;
      candidates.swap(sorted);
    }
  }
  // Descending in the logit. Adding 0 turns -0 into +0, which compares equal.
  static std::uint32_t key_of(float logit) {
    const auto bits = std::bit_cast<std::uint32_t>(logit + 0.0f);
    return (bits >> 31) != 0 ? bits : bits ^ 0x7FFFFFFFu;
  }
  static constexpr std::size_t kFew = 512;

  MOE_FORCE_INLINE static void weigh(std::span<Candidate> candidates, double highest, double temperature) {
    for (Candidate& c : candidates) c.weight = detail::exp((static_cast<double>(c.logit) - highest) / temperature);
  }
  // exp() is a chain of fma. Where the compiler may not assume that instruction, each is a library call, and a
  // token of a vocabulary of 152,000 takes 30 ms instead of 1.5. The bits are the same.
#if defined(__GNUC__) && defined(__x86_64__) && !defined(__FMA__)
  __attribute__((target("fma"), flatten)) static void weigh_by_fma(std::span<Candidate> candidates, double highest,
                                                                   double temperature) {
    weigh(candidates, highest, temperature);
  }
  static void weigh_on_this_cpu(std::span<Candidate> candidates, double highest, double temperature) {
    if (__builtin_cpu_supports("fma")) return weigh_by_fma(candidates, highest, temperature);
    weigh(candidates, highest, temperature);
  }
#else
  static void weigh_on_this_cpu(std::span<Candidate> candidates, double highest, double temperature) {
    weigh(candidates, highest, temperature);
  }
#endif

  explicit Sampler(const SamplingConfig& config) : config_(config), rng_(config.seed) {}

  /// Keeps the best candidates up to and including the one that reaches top_p; returns their sum.
  double keep_nucleus(std::vector<Candidate>& candidates, double total, bool sorted) const {
    if (!sorted) {
      // Tokens below this weight have less than 1 - top_p together: no need to sort them.
      const double negligible = (1.0 - config_.top_p) * total / static_cast<double>(candidates.size());
      std::erase_if(candidates, [&](const Candidate& c) { return c.weight < negligible; });
      sort_best_first(candidates);
    }
    double sum = 0.0;
    std::size_t kept = 0;
    while (kept < candidates.size() && (kept == 0 || sum < config_.top_p * total)) sum += candidates[kept++].weight;
    candidates.resize(kept);
    return sum;
  }

  /// Keeps the candidates of at least min_p times the weight of the best one, which is exp(0) = 1; returns their sum.
  double keep_likely(std::vector<Candidate>& candidates) const {
    std::erase_if(candidates, [&](const Candidate& c) { return c.weight < config_.min_p; });
    double sum = 0.0;
    for (const Candidate& c : candidates) sum += c.weight;
    return sum;
  }

  SamplingConfig config_;
  Rng rng_;
  std::unordered_map<TokenId, std::int64_t> seen_;  // token -> count in the reply; 0: in the prompt only
};

}  // namespace moe::inline MOE_ABI

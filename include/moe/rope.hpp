#pragma once
// Rotary position embedding (RoPE): frequencies by scaling rule, cosines and sines of a position.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moe/detail/math.hpp"
#include "moe/error.hpp"
#include "moe/rope_config.hpp"

namespace moe::inline MOE_ABI {

/// The settings for sequences longer than original_max_position; they differ with longrope only.
inline RopeConfig beyond_original(const RopeConfig& config) {
  RopeConfig beyond = config;
  if (config.scaling == RopeScaling::longrope) beyond.frequency_factors = config.long_factors;
  return beyond;
}

/// Factor of the queries at a position (RopeConfig::query_growth).
inline double query_scale(const RopeConfig& config, std::int64_t position) {
  const std::int64_t times = config.query_growth == 0.0 ? 0 : position / config.original_max_position;
  return times == 0 ? 1.0 : detail::fma(config.query_growth, detail::log(1.0 + static_cast<double>(times)), 1.0);
}

/// Angles of one model. All in double; cos and sin are rounded once to float (docs/NUMERICS.md).
class RopeTable {
 public:
  /// Frequencies for the `rotary_dim` (even) rotated values of a head.
  ///
  /// Errors  bad_config, naming the field, when the numbers cannot give finite angles
  /// Source  the rules are those of transformers' modeling_rope_utils: linear, llama3, yarn, longrope, proportional
  static Result<RopeTable> create(const RopeConfig& config, std::int64_t rotary_dim);

  std::int64_t pair_count() const { return static_cast<std::int64_t>(frequency_.size()); }
  /// Angle per position of each pair, scaling included.
  const std::vector<double>& frequencies() const { return frequency_; }

  ///   cos, sin [pair_count]  of this position, times attention_factor
  void fill(std::int64_t position, float* cos, float* sin) const {
    for (std::size_t i = 0; i < frequency_.size(); ++i) {
      const detail::SinCos angle = detail::sin_cos(static_cast<double>(position) * frequency_[i]);
      cos[i] = static_cast<float>(angle.cos * attention_factor_);
      sin[i] = static_cast<float>(angle.sin * attention_factor_);
    }
  }

 private:
  std::vector<double> frequency_;
  double attention_factor_ = 1.0;
};

namespace detail {

inline constexpr double kTwoPi = 0x1.921fb54442d18p+2;

/// Long wavelengths are interpolated, short ones kept, those between are blended.
inline double llama3_frequency(const RopeConfig& c, double frequency) {
  const double context = static_cast<double>(c.original_max_position);
  const double wavelength = kTwoPi / frequency;
  if (wavelength < context / c.high_freq_factor) return frequency;
  if (wavelength > context / c.low_freq_factor) return frequency / c.factor;
  const double smooth = (context / wavelength - c.low_freq_factor) / (c.high_freq_factor - c.low_freq_factor);
  return fma(smooth, frequency, (1.0 - smooth) * (frequency / c.factor));
}

/// The pair (as a real number) that turns `rotations` times over the original context.
inline double yarn_correction_pair(const RopeConfig& c, double rotations, double dim) {
  const double context = static_cast<double>(c.original_max_position);
  return dim * log(context / (rotations * kTwoPi)) / (2.0 * log(c.theta));
}

/// Pairs below `low` keep their frequency, above `high` they are interpolated, a straight ramp between.
inline double yarn_frequency(double frequency, double factor, double low, double high, std::int64_t pair) {
  const double ramp = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
  return fma(frequency / factor, ramp, frequency * (1.0 - ramp));
}

/// The pairs between which YaRN blends: first and last.
inline std::pair<double, double> yarn_ramp(const RopeConfig& c, double dim) {
  double low = yarn_correction_pair(c, c.beta_fast, dim), high = yarn_correction_pair(c, c.beta_slow, dim);
  if (c.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, dim - 1.0);
  if (low == high) high += 0.001;  // a step, not a division by zero
  return {low, high};
}

inline tl::unexpected<Error> bad_rope(std::string_view field, double found, const char* expected) {
  return fail(ErrorCode::bad_config,
              "rope: " + std::string(field) + " is " + std::to_string(found) + ", expected " + expected);
}

/// The divisors of the rules that have them: one per rotated pair.
inline Result<void> check_rope_factors(const RopeConfig& c, std::int64_t rotary_dim) {
  const bool both = c.scaling == RopeScaling::longrope;
  for (const auto* factors : {&c.frequency_factors, &c.long_factors}) {
    if (!both && (factors == &c.long_factors || c.scaling != RopeScaling::factors)) continue;
    const std::string name = factors == &c.long_factors ? "long_factors" : "frequency_factors";
    if (static_cast<std::int64_t>(factors->size()) != rotary_dim / 2)
      return bad_rope("number of " + name, static_cast<double>(factors->size()), "one for every rotated pair");
    for (const double factor : *factors)
      if (!(factor > 0.0 && factor <= 1e6)) return bad_rope(name, factor, "numbers above 0, up to 1e6");
  }
  return {};
}

/// Comparisons are negated, so that NaN is refused as well.
inline Result<void> check_rope(const RopeConfig& c, std::int64_t rotary_dim) {
  constexpr std::int64_t kMaxRotaryDim = 65536;
  if (rotary_dim < 2 || rotary_dim % 2 != 0 || rotary_dim > kMaxRotaryDim)
    return bad_rope("rotary dimension", static_cast<double>(rotary_dim), "an even number from 2 to 65536");
  // Hunyuan's theta * alpha^(d / (d - 2)) grows large in small heads: 1e7 and 1e5 give 2e12 with d = 8.
  if (!(c.theta > 1.0 && c.theta <= 1e30)) return bad_rope("theta", c.theta, "a number above 1, up to 1e30");
  if (!(c.attention_factor > 0.0 && c.attention_factor <= 1e6))
    return bad_rope("attention_factor", c.attention_factor, "a number above 0, up to 1e6");
  if (c.scaling != RopeScaling::none && !(c.factor > 0.0 && c.factor <= 1e6))
    return bad_rope("factor", c.factor, "a number above 0, up to 1e6");
  const bool needs_context = c.scaling == RopeScaling::yarn || c.scaling == RopeScaling::llama3 ||
                             c.scaling == RopeScaling::longrope || c.query_growth != 0.0;
  if (needs_context && c.original_max_position < 1)
    return bad_rope("original_max_position", static_cast<double>(c.original_max_position), "a number above 0");
  if (c.scaling == RopeScaling::proportional && (c.rotated_pairs < 0 || c.rotated_pairs > rotary_dim / 2))
    return bad_rope("rotated_pairs", static_cast<double>(c.rotated_pairs), "a number from 0 to that of all pairs");
  if (c.scaling == RopeScaling::llama3 && !(c.low_freq_factor > 0.0 && c.high_freq_factor > c.low_freq_factor))
    return bad_rope("high_freq_factor", c.high_freq_factor, "a number above low_freq_factor, which is above 0");
  if (!(c.query_growth >= 0.0 && c.query_growth <= 1e3))
    return bad_rope("query_growth", c.query_growth, "a number from 0 to 1000");
  if (auto ok = check_rope_factors(c, rotary_dim); !ok) return ok;
  if (c.scaling == RopeScaling::yarn &&
      !(c.beta_slow > 0.0 && c.beta_fast >= c.beta_slow && c.beta_fast <= 1e6 && c.beta_slow >= 1e-6))
    return bad_rope("beta_fast", c.beta_fast, "a number from beta_slow, which is above 0, to 1e6");
  return {};
}

}  // namespace detail

inline Result<RopeTable> RopeTable::create(const RopeConfig& config, std::int64_t rotary_dim) {
  if (auto ok = detail::check_rope(config, rotary_dim); !ok) return forward(ok);
  const double dim = static_cast<double>(rotary_dim);
  std::pair<double, double> ramp;
  if (config.scaling == RopeScaling::yarn) ramp = detail::yarn_ramp(config, dim);

  RopeTable table;
  table.attention_factor_ = config.attention_factor;
  const std::int64_t pairs = rotary_dim / 2;
  table.frequency_.reserve(static_cast<std::size_t>(pairs));
  for (std::int64_t i = 0; i < pairs; ++i) {
    double f = detail::pow(config.theta, -static_cast<double>(2 * i) / dim);
    switch (config.scaling) {
      case RopeScaling::none: break;
      case RopeScaling::linear: f = f / config.factor; break;
      case RopeScaling::proportional: f = i < config.rotated_pairs ? f / config.factor : 0.0; break;
      case RopeScaling::llama3: f = detail::llama3_frequency(config, f); break;
      case RopeScaling::yarn: f = detail::yarn_frequency(f, config.factor, ramp.first, ramp.second, i); break;
      case RopeScaling::factors:
      case RopeScaling::longrope: f = f / config.frequency_factors[static_cast<std::size_t>(i)]; break;
    }
    table.frequency_.push_back(f);
  }
  return table;
}

}  // namespace moe::inline MOE_ABI

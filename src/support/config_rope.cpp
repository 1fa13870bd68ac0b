// Checks the settings of RoPE.

#include <vector>

#include "support/config_ranges.hpp"

namespace moe::inline MOE_ABI::config_checks {
namespace {

Result<void> check_factors(const char* name, const std::vector<double>& factors, std::int64_t rotated_dim) {
  if (static_cast<std::int64_t>(factors.size()) != rotated_dim / 2)
    return refuse(fmt::format("{} has {} values, expected {}", name, factors.size(), rotated_dim / 2));
  for (const double factor : factors)
    if (auto ok = check_positive({{name, factor, 1e6}}); !ok) return ok;
  return {};
}

}  // namespace

Result<void> check_rope(const RopeConfig& r, std::int64_t rotated_dim) {
  if (auto ok = check_positive({{"rope.theta", r.theta, 1e15}, {"rope.attention_factor", r.attention_factor, 1e3}});
      !ok)
    return ok;
  if (r.theta <= 1.0) return refuse(fmt::format("rope.theta is {}, expected more than 1", r.theta));
  if (r.style != RopeStyle::half_split && r.style != RopeStyle::interleaved)
    return refuse("rope.style is none of the known ones");
  if (!(r.query_growth >= 0.0 && r.query_growth <= 1e3))
    return refuse(fmt::format("rope.query_growth is {}, expected 0 to 1000", r.query_growth));
  if (r.query_growth > 0.0)
    if (auto ok = check_ranges({{"rope.original_max_position", r.original_max_position, 1, kMaxPosition}}); !ok)
      return ok;
  if (r.scaling == RopeScaling::none) return {};
  if (auto ok = check_positive({{"rope.factor", r.factor, 1e6}}); !ok) return ok;
  switch (r.scaling) {
    case RopeScaling::linear: return {};
    case RopeScaling::proportional: return check_ranges({{"rope.rotated_pairs", r.rotated_pairs, 0, rotated_dim / 2}});
    case RopeScaling::llama3:
      if (auto ok = check_positive(
              {{"rope.low_freq_factor", r.low_freq_factor, 1e6}, {"rope.high_freq_factor", r.high_freq_factor, 1e6}});
          !ok)
        return ok;
      if (r.low_freq_factor >= r.high_freq_factor)
        return refuse(fmt::format("rope.low_freq_factor is {}, expected less than high_freq_factor {}",
                                  r.low_freq_factor, r.high_freq_factor));
      break;
    case RopeScaling::yarn:
      if (auto ok = check_positive({{"rope.beta_fast", r.beta_fast, 1e6}, {"rope.beta_slow", r.beta_slow, 1e6}}); !ok)
        return ok;
      if (r.beta_slow > r.beta_fast)
        return refuse(fmt::format("rope.beta_slow is {}, expected at most beta_fast {}", r.beta_slow, r.beta_fast));
      break;
    case RopeScaling::factors: return check_factors("rope.frequency_factors", r.frequency_factors, rotated_dim);
    case RopeScaling::longrope:
      if (auto ok = check_factors("rope.frequency_factors", r.frequency_factors, rotated_dim); !ok) return ok;
      if (auto ok = check_factors("rope.long_factors", r.long_factors, rotated_dim); !ok) return ok;
      break;
    default: return refuse("rope.scaling is none of the known ones");
  }
  return check_ranges({{"rope.original_max_position", r.original_max_position, 1, kMaxPosition}});
}

}  // namespace moe::inline MOE_ABI::config_checks

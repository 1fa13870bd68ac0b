#pragma once
// Settings of RoPE (rotary position embedding): pairing, scaling rule and its numbers. rope.hpp computes angles from them;
// src/arch/json_rope.cpp and gguf_rope.cpp read them from checkpoints.

#include <cstdint>
#include <string_view>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Which values form a rotated pair: (i, i + d/2) or (2i, 2i + 1).
enum class RopeStyle { half_split, interleaved };
constexpr std::string_view name_of(RopeStyle value) noexcept {
  switch (value) {
    case RopeStyle::half_split: return "half_split";
    case RopeStyle::interleaved: return "interleaved";
  }
  return "";
}
enum class RopeScaling {
  none,
  linear,
  llama3,
  yarn,
  factors,       ///< one divisor per rotated pair, as GGUF files store Llama 3.1's rule
  longrope,      ///< as factors, with other divisors for sequences longer than original_max_position (Phi-3)
  proportional,  ///< linear for the first rotated_pairs; RoPE rotates no others (Gemma 4)
};
constexpr std::string_view name_of(RopeScaling value) noexcept {
  switch (value) {
    case RopeScaling::none: return "none";
    case RopeScaling::linear: return "linear";
    case RopeScaling::llama3: return "llama3";
    case RopeScaling::yarn: return "yarn";
    case RopeScaling::factors: return "factors";
    case RopeScaling::longrope: return "longrope";
    case RopeScaling::proportional: return "proportional";
  }
  return "";
}

/// Angles are computed in double (docs/NUMERICS.md). RopeTable::create() checks the ranges.
struct RopeConfig {
  double theta = 10000.0;  ///< base of the frequencies
  RopeStyle style = RopeStyle::half_split;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;
  bool truncate = true;                                  ///< yarn: the ramp's ends are rounded outwards to whole pairs
  std::int64_t original_max_position = 0;                ///< context of the unscaled model (yarn, llama3, longrope)
  double beta_fast = 32.0, beta_slow = 1.0;              ///< yarn
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< llama3
  std::vector<double> frequency_factors = {};            ///< factors, longrope: one per pair
  std::vector<double> long_factors = {};                 ///< longrope: for long sequences
  std::int64_t rotated_pairs = 0;                        ///< proportional: pairs whose frequency is not 0
  double attention_factor = 1.0;                         ///< multiplies cos and sin; readers have applied mscale
  /// Queries at position p are multiplied by 1 + query_growth * ln(1 + floor(p / original_max_position)) (Ministral 3).
  double query_growth = 0.0;

  bool operator==(const RopeConfig&) const = default;
};

}  // namespace moe::inline MOE_ABI

#pragma once
// Seeds of the replies to one prompt.

#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::generate {

/// SplitMix64 (G. Steele, D. Lea, C. Flood, 2014).
constexpr std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// The first reply uses the seed itself. The others' are no function of seed + reply: requests with seeds 1, 2, 3 have
/// different replies throughout.
constexpr std::uint64_t seed_of_reply(std::uint64_t seed, std::uint64_t reply) {
  return reply == 0 ? seed : splitmix64(splitmix64(seed) + reply);
}

}  // namespace moe::inline MOE_ABI::generate

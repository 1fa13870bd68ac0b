#pragma once
// Looks for NaN and infinity in hidden states, the indexer's scores and logits.

#include <cstdint>
#include <cstring>

namespace moe::inline MOE_ABI {

/// Exponent bits all set: NaN or infinity. Integer arithmetic, so that no compiler flag can remove it.
inline bool all_finite(const float* x, std::int64_t n) {
  std::uint32_t bad = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    bad |= static_cast<std::uint32_t>((bits & 0x7F800000u) == 0x7F800000u);
  }
  return bad == 0;
}

}  // namespace moe::inline MOE_ABI

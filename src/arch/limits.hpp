#pragma once
// Limits of single fields, far above any published model; they keep every product of two fields inside 64 bits.

#include <cstdint>

#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

inline constexpr std::int64_t kMaxWidth = 1 << 20;
inline constexpr std::int64_t kMaxLayers = 1024;
inline constexpr std::int64_t kMaxTaps = 64;          // of a causal convolution
inline constexpr std::int64_t kMaxExperts = 1 << 14;  // of a file; a RouterConfig made by hand may have more
inline constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 24;
inline constexpr std::int64_t kMaxPosition = std::int64_t{1}
                                             << 31;  // validate() draws the narrower line and names the field

}  // namespace moe::inline MOE_ABI::arch

#pragma once
// What both kinds of attention say to the kernels in the same way.

#include <cstdint>

#include "kernels/table.hpp"
#include "moe/config.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

inline void rotate(const kernels::KernelTable& k, RopeStyle style, const float* cos, const float* sin,
                   std::int64_t pairs, float* x) {
  style == RopeStyle::interleaved ? k.rope_interleaved(cos, sin, pairs, x) : k.rope_half(cos, sin, pairs, x);
}

}  // namespace moe::inline MOE_ABI

#pragma once
// Arguments of attention kernels common to GQA and MLA.

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

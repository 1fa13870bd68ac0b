#pragma once
// q8_0: 32 values in 34 bytes, w = d * c.
//
//   0  d   f16
//   2  qs  [32]  int8 codes

#include "moe/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_q8_0(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(load_i8(block + 2 + i));
}

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// tq2_0: 256 values in 66 bytes, w = d * (c - 1), c of 2 bits.
//
//    0  qs  [64]  value 128 n + 32 j + i sits in byte 32 n + i, bits 2 j and 2 j + 1
//   64  d   f16

#include "moe/detail/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_tq2_0(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block + 64);
  for (int plane = 0; plane < 8; ++plane)
    for (int i = 0; i < 32; ++i) {
      const std::uint32_t code = load_u8(block + 32 * (plane / 4) + i) >> (2 * (plane % 4)) & 3u;
      out[32 * plane + i] = d * static_cast<float>(static_cast<int>(code) - 1);
    }
}

}  // namespace moe::inline MOE_ABI::quant

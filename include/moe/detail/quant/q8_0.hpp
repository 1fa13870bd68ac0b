#pragma once
// q8_0: 32 values in 34 bytes, w = d * c.
//
//   0  d   f16
//   2  qs  [32]  int8 codes

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/codes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_q8_0(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(load_i8(block + 2 + i));
}

/// The largest magnitude becomes code 127; halves are rounded away from zero.
[[nodiscard]] inline bool encode_q8_0(const float* in, std::byte* block) noexcept {
  const float d = std::abs(largest_magnitude(in, 32)) / 127.0f;
  const Reciprocal r(d);
  for (int i = 0; i < 32; ++i)
    store_u8(block + 2 + i,
             static_cast<std::uint32_t>(r.overflows ? 0 : static_cast<int>(std::round(in[i] * r.value))));
  return store_f16(block, d);
}

}  // namespace moe::inline MOE_ABI::quant

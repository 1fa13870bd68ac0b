#pragma once
// tq1_0: 256 values in 54 bytes, w = d * t, t in {-1, 0, 1}; five (at the end: four) values share a byte.
//
//    0  qs  [48]  bytes 0-31 hold values 32 n + i (n = 0..4), bytes 32-47 values 160 + 16 n + i
//   48  qh  [4]   values 240 + 4 n + i (n = 0..3)
//   52  d   f16
//
// A byte is a fraction of 256 in base 3, its first digit first: digit n of byte b is ((b * 3^n mod 256) * 3) / 256.

#include "moe/detail/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_tq1_0(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block + 52);
  struct Part {
    int first_byte, byte_count, digits;
  };
  for (const Part& part : {Part{0, 32, 5}, Part{32, 16, 5}, Part{48, 4, 4}}) {
    std::uint32_t power = 1;
    for (int n = 0; n < part.digits; ++n, power *= 3)
      for (int i = 0; i < part.byte_count; ++i) {
        const std::uint32_t digit = (load_u8(block + part.first_byte + i) * power & 255u) * 3u >> 8;
        *out++ = d * static_cast<float>(static_cast<int>(digit) - 1);
      }
  }
}

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// q6_k: 256 values in 210 bytes, w = (d * sc) * (c - 32); sc (int8) serves 16 values, c of 6 bits.
//
//     0  ql     [128]  low four bits of value 128 n + 64 h + i in byte 64 n + i, low nibble for h = 0
//   128  qh     [64]   high two bits of value 128 n + 32 j + i in byte 32 n + i, bits 2 j and 2 j + 1
//   192  scales [16]   int8
//   208  d      f16

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/search.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_q6_k(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block + 208);
  for (int g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(load_i8(block + 192 + g));
    const int n = g / 8, within = 16 * (g % 8);  // half of the block, and the first value's place in it
    const std::byte* ql = block + 64 * n + within % 64;
    const std::byte* qh = block + 128 + 32 * n + within % 32;
    for (int i = 0; i < 16; ++i) {
      const std::uint32_t code =
          (load_u8(ql + i) >> (4 * (within / 64)) & 15u) | (load_u8(qh + i) >> (2 * (within / 32)) & 3u) << 4;
      out[16 * g + i] = scale * static_cast<float>(static_cast<int>(code) - 32);
    }
  }
}

/// Each of the sixteen parts gets its scale from a search; the one of largest magnitude becomes -128, and the codes are
/// computed from the stored values. A part whose stored scale is 0 keeps the codes of its search.
[[nodiscard]] inline bool encode_q6_k(const float* in, std::byte* block) noexcept {
  std::uint8_t codes[256];
  float scales[16];
  float largest = 0.0f;
  for (int g = 0; g < 16; ++g) {
    scales[g] = fit_scale<32, 16>(in + 16 * g, codes + 16 * g);
    if (!std::isfinite(scales[g])) return false;  // the sums of cubes overflowed: d cannot hold such values
    if (std::abs(scales[g]) > std::abs(largest)) largest = scales[g];
  }
  for (int i = 0; i < 210; ++i) block[i] = std::byte{0};
  if (std::abs(largest) < kNothing) return true;
  const float steps = -128.0f / largest;
  if (!store_f16(block + 208, 1.0f / steps)) return false;

  const float d = load_f16(block + 208);
  for (int g = 0; g < 16; ++g) {
    const std::int32_t stored = nearest_code(steps * scales[g], -128, 127);
    store_u8(block + 192 + g, static_cast<std::uint32_t>(stored));
    const float scale = d * static_cast<float>(stored);
    if (scale == 0.0f) continue;
    for (int i = 16 * g; i < 16 * g + 16; ++i)
      codes[i] = static_cast<std::uint8_t>(nearest_code(in[i] / scale, -32, 31) + 32);
  }
  for (int i = 0; i < 256; ++i) {
    const std::uint32_t code = codes[i];
    const int n = i / 128, within = i % 128;  // half of the block, and the value's place in it
    std::byte* ql = block + 64 * n + within % 64;
    std::byte* qh = block + 128 + 32 * n + within % 32;
    store_u8(ql, load_u8(ql) | (code & 15u) << (4 * (within / 64)));
    store_u8(qh, load_u8(qh) | code >> 4 << (2 * (within / 32)));
  }
  return true;
}

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// q4_k: 256 values in 144 bytes, w = (d * sc) * c - (dmin * mn); sc and mn of 6 bits serve 32 values, c of 4 bits.
//
//    0  d      f16
//    2  dmin   f16
//    4  scales [12]   see k_scale
//   16  qs     [128]  value 64 n + 32 h + i sits in byte 32 n + i, low nibble for h = 0
//
// (d * sc) * c has at most 21 significant bits: exact, and a compiler that fuses the subtraction changes nothing.

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/quant/search.hpp"

namespace moe::inline MOE_ABI::quant {

struct KScale {
  std::int32_t scale, minimum;  ///< in [0, 63]
};

/// Scale and minimum of values 32 b .. 32 b + 31 of a q4_k or q5_k block; `scales` are its 12 bytes.
/// Bytes 0-3 and 4-7 hold scales and minimums 0-3 in six bits. For 4-7, bytes 8-11 hold the low four bits (scale in the
/// low nibble, minimum in the high nibble), and the top two bits of bytes 0-7 hold the rest.
MOE_FORCE_INLINE KScale k_scale(const std::byte* scales, int b) noexcept {
  if (b < 4)
    return {static_cast<std::int32_t>(load_u8(scales + b) & 63u),
            static_cast<std::int32_t>(load_u8(scales + 4 + b) & 63u)};
  const std::uint32_t low = load_u8(scales + 4 + b);
  return {static_cast<std::int32_t>((low & 15u) | load_u8(scales + b - 4) >> 6 << 4),
          static_cast<std::int32_t>(low >> 4 | load_u8(scales + b) >> 6 << 4)};
}

MOE_FORCE_INLINE void decode_q4_k(const std::byte* block, float* out) noexcept {
  const float d = load_f16(block), dmin = load_f16(block + 2);
  for (int b = 0; b < 8; ++b) {
    const KScale s = k_scale(block + 4, b);
    const float scale = d * static_cast<float>(s.scale), minimum = dmin * static_cast<float>(s.minimum);
    const std::byte* qs = block + 16 + 32 * (b / 2);
    for (int i = 0; i < 32; ++i)
      out[32 * b + i] = scale * static_cast<float>(load_u8(qs + i) >> (4 * (b % 2)) & 15u) - minimum;
  }
}

/// The inverse of k_scale: sets scale and minimum b, whose bits in the 12 bytes must be zero.
inline void store_k_scale(std::byte* scales, int b, KScale s) noexcept {
  const auto scale = static_cast<std::uint32_t>(s.scale), minimum = static_cast<std::uint32_t>(s.minimum);
  if (b < 4) {
    store_u8(scales + b, load_u8(scales + b) | scale);
    store_u8(scales + 4 + b, load_u8(scales + 4 + b) | minimum);
    return;
  }
  store_u8(scales + 4 + b, (scale & 15u) | (minimum & 15u) << 4);
  store_u8(scales + b - 4, load_u8(scales + b - 4) | scale >> 4 << 6);
  store_u8(scales + b, load_u8(scales + b) | minimum >> 4 << 6);
}

/// Each of the eight parts gets scale and minimum from a search; they are rounded to six bits, and the codes are
/// computed from the stored values. A part whose stored scale is 0 keeps the codes of its search.
[[nodiscard]] inline bool encode_q4_k(const float* in, std::byte* block) noexcept {
  std::uint8_t codes[256];
  AffineFit fit[8];
  float largest_scale = 0.0f, largest_minimum = 0.0f;
  for (int b = 0; b < 8; ++b) {
    fit[b] = fit_affine<15>(in + 32 * b, codes + 32 * b);
    largest_scale = fit[b].scale > largest_scale ? fit[b].scale : largest_scale;
    largest_minimum = fit[b].minimum > largest_minimum ? fit[b].minimum : largest_minimum;
  }
  const float scale_steps = largest_scale > 0.0f ? 63.0f / largest_scale : 0.0f;
  const float minimum_steps = largest_minimum > 0.0f ? 63.0f / largest_minimum : 0.0f;
  for (int i = 0; i < 16; ++i) block[i] = std::byte{0};
  for (int b = 0; b < 8; ++b)
    store_k_scale(
        block + 4, b,
        {nearest_code(scale_steps * fit[b].scale, 0, 63), nearest_code(minimum_steps * fit[b].minimum, 0, 63)});
  if (!store_f16(block, largest_scale / 63.0f) || !store_f16(block + 2, largest_minimum / 63.0f)) return false;

  const float d = load_f16(block), dmin = load_f16(block + 2);
  for (int b = 0; b < 8; ++b) {
    const KScale s = k_scale(block + 4, b);
    const float scale = d * static_cast<float>(s.scale), minimum = dmin * static_cast<float>(s.minimum);
    if (scale == 0.0f) continue;
    for (int i = 32 * b; i < 32 * b + 32; ++i)
      codes[i] = static_cast<std::uint8_t>(nearest_code((in[i] + minimum) / scale, 0, 15));
  }
  for (int n = 0; n < 4; ++n)
    for (int i = 0; i < 32; ++i)
      store_u8(block + 16 + 32 * n + i, codes[64 * n + i] | static_cast<std::uint32_t>(codes[64 * n + 32 + i]) << 4);
  return true;
}

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// Conversion of keys and values to the cache's type and back.

#include <cmath>
#include <cstdint>

#include "moe/detail/attention.hpp"
#include "moe/detail/quant/half.hpp"

namespace moe::inline MOE_ABI::reference {

/// The scale of a block of q8_0 whose largest magnitude is `largest`: a NaN if a value is not finite or no f16 is large
/// enough, so that the error shows in every result that reads the block.
MOE_FORCE_INLINE std::uint16_t q8_cache_scale(float largest, bool finite) noexcept {
  constexpr std::uint16_t kInfinity = 0x7c00u, kNaN = 0x7e00u;
  const std::uint16_t d = float_to_f16(largest / 127.0f);
  return finite && d < kInfinity ? d : kNaN;
}
/// What values are multiplied with; 0, and therefore codes of 0, if the scale is 0 or a NaN.
MOE_FORCE_INLINE float q8_cache_inverse(std::uint16_t scale) noexcept {
  return scale == 0 || scale >= 0x7c00u ? 0.0f : 1.0f / f16_to_float(scale);
}

/// x [n] as codes and scales, `stride` apart.
///
///   scale  f16(a / 127), a = largest magnitude of up to 32 values
///   code   clamp(rint_even(x * (1 / scale)), -127, 127)
///
/// Accuracy  same bits on every ISA; |x - code * scale| <= scale / 2 + max(0, a - 127 scale)
inline void store_cache_q8_0(const float* x, std::int64_t n, std::int8_t* codes, std::uint16_t* scales,
                             std::int64_t stride) noexcept {
  for (std::int64_t begin = 0; begin < n; begin += kKvBlock) {
    const std::int64_t end = begin + kKvBlock < n ? begin + kKvBlock : n;
    float a = 0.0f;
    bool finite = true;
    for (std::int64_t i = begin; i < end; ++i) {
      finite = finite && std::isfinite(x[i]);
      a = std::fabs(x[i]) > a ? std::fabs(x[i]) : a;
    }
    const std::uint16_t d = q8_cache_scale(a, finite);
    const float r = q8_cache_inverse(d);
    scales[begin / kKvBlock * stride] = d;
    for (std::int64_t i = begin; i < end; ++i) {
      float q = r == 0.0f ? 0.0f : std::nearbyint(x[i] * r);
      q = q > -127.0f ? q : -127.0f;
      q = q < 127.0f ? q : 127.0f;
      codes[i * stride] = static_cast<std::int8_t>(q);
    }
  }
}

/// Rounds a row to the cache's type; 16-bit types to nearest even.
inline void store_cache(const CacheRow& row) noexcept {
  const std::int64_t first = cache_index(row.order, row.n, row.slot, 0);
  const std::int64_t stride = row.order == CacheOrder::rows ? 1 : kKeyBlock;
  if (row.type == KvType::q8_0) {
    auto* codes = static_cast<std::int8_t*>(row.block);
    auto* scales = reinterpret_cast<std::uint16_t*>(codes + kKeyBlock * row.n);
    return store_cache_q8_0(row.x, row.n, codes + first, scales + cache_index(row.order, kv_scales(row.n), row.slot, 0),
                            stride);
  }
  for (std::int64_t i = 0; i < row.n; ++i) {
    const std::int64_t at = first + i * stride;
    switch (row.type) {
      case KvType::f16: static_cast<std::uint16_t*>(row.block)[at] = float_to_f16(row.x[i]); break;
      case KvType::bf16: static_cast<std::uint16_t*>(row.block)[at] = float_to_bf16(row.x[i]); break;
      default: static_cast<float*>(row.block)[at] = row.x[i]; break;
    }
  }
}

/// Number d of position `slot` of a block with n numbers per position, widened exactly.
inline float load_cache(KvType type, CacheOrder order, const void* block, std::int64_t n, std::int64_t slot,
                        std::int64_t d) noexcept {
  const std::int64_t at = cache_index(order, n, slot, d);
  switch (type) {
    case KvType::f16: return f16_to_float(static_cast<const std::uint16_t*>(block)[at]);
    case KvType::bf16: return bf16_to_float(static_cast<const std::uint16_t*>(block)[at]);
    case KvType::q8_0: {
      const auto* codes = static_cast<const std::int8_t*>(block);
      const auto* scales = reinterpret_cast<const std::uint16_t*>(codes + kKeyBlock * n);
      // 7 bits times 11 bits: exact.
      return static_cast<float>(codes[at]) * f16_to_float(scales[cache_index(order, kv_scales(n), slot, d / kKvBlock)]);
    }
    case KvType::f32: break;
  }
  return static_cast<const float*>(block)[at];
}

}  // namespace moe::inline MOE_ABI::reference

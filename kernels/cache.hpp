#pragma once
// Rounds a row to the cache's type, as detail/reference/cache.hpp defines it.

#include <cstdint>

#include "kernels/simd_cache.hpp"
#include "kernels/table.hpp"
#include "moe/detail/reference/cache.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch, class Type>
MOE_FORCE_INLINE void store_cache_16bit(const float* x, std::int64_t n, std::uint16_t* out, std::int64_t stride) {
  for_lanes(n, [&](std::int64_t i, std::int64_t count) MOE_INLINE_LAMBDA {
    std::uint16_t narrow[16];
    if (count == 16 && stride == 1) return narrow_cache<Arch>(Type{}, x + i, out + i);
    if (count == 16) {
      narrow_cache<Arch>(Type{}, x + i, narrow);
    } else {
      float part[16] = {};
      for (std::int64_t j = 0; j < count; ++j) part[j] = x[i + j];
      narrow_cache<Arch>(Type{}, part, narrow);
    }
    for (std::int64_t j = 0; j < count; ++j) out[(i + j) * stride] = narrow[j];
  });
}

/// Codes and scales of q8_0, `stride` apart: reference::store_cache_q8_0 in lanes.
template <class Arch>
MOE_FORCE_INLINE void store_cache_q8_0(const float* x, std::int64_t n, std::int8_t* codes, std::uint16_t* scales,
                                       std::int64_t stride) {
  const Lanes<float, Arch> zero = broadcast<Arch>(0.0f), low = broadcast<Arch>(-127.0f), high = broadcast<Arch>(127.0f);
  for (std::int64_t begin = 0; begin < n; begin += kKvBlock, scales += stride) {
    const std::int64_t count = n - begin < kKvBlock ? n - begin : kKvBlock;
    const std::int64_t first = count < 16 ? count : 16;
    Lanes<float, Arch> v[2] = {load_up_to<Arch>(x + begin, first), zero};
    if (count > 16) v[1] = load_up_to<Arch>(x + begin + 16, count - 16);
    // Products with 0 are 0, or NaN for what is not finite.
    const float zeros = tree_sum<Arch>(fma<Arch>(v[1], zero, mul<Arch>(v[0], zero)));
    const float a = largest<Arch>(max<Arch>(abs<Arch>(v[0]), abs<Arch>(v[1])));
    *scales = reference::q8_cache_scale(a, zeros == 0.0f);
    const Lanes<float, Arch> r = broadcast<Arch>(reference::q8_cache_inverse(*scales));
    const bool is_zero = *scales == 0 || *scales >= 0x7c00u;
    std::int32_t q[32];
    for (int i = 0; i < 2; ++i) {
      const Lanes<float, Arch> rounded = round_even<Arch>(is_zero ? zero : mul<Arch>(v[i], r));
      store_int<Arch>(q + 16 * i, to_int<Arch>(min<Arch>(max<Arch>(rounded, low), high)));
    }
    for (std::int64_t i = 0; i < count; ++i) codes[(begin + i) * stride] = static_cast<std::int8_t>(q[i]);
  }
}

template <class Arch>
void store_cache(const CacheRow& row) noexcept {
  const std::int64_t first = cache_index(row.order, row.n, row.slot, 0);
  const std::int64_t stride = row.order == CacheOrder::rows ? 1 : kKeyBlock;
  switch (row.type) {
    case KvType::f16:
      return store_cache_16bit<Arch, CacheF16>(row.x, row.n, static_cast<std::uint16_t*>(row.block) + first, stride);
    case KvType::bf16:
      return store_cache_16bit<Arch, CacheBf16>(row.x, row.n, static_cast<std::uint16_t*>(row.block) + first, stride);
    case KvType::q8_0: {
      auto* codes = static_cast<std::int8_t*>(row.block);
      auto* scales = reinterpret_cast<std::uint16_t*>(codes + kKeyBlock * row.n);
      return store_cache_q8_0<Arch>(row.x, row.n, codes + first,
                                    scales + cache_index(row.order, kv_scales(row.n), row.slot, 0), stride);
    }
    case KvType::f32: break;
  }
  float* wide = static_cast<float*>(row.block) + first;
  for (std::int64_t i = 0; i < row.n; ++i) wide[i * stride] = row.x[i];
}

}  // namespace moe::inline MOE_ABI::kernels

#pragma once
// Rounds a row to the cache's type; stride 64 writes a column of a transposed key block.

#include <cstdint>

#include "kernels/simd_cache.hpp"
#include "kernels/table.hpp"

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

template <class Arch>
void store_cache(KvType type, const float* x, std::int64_t n, void* out, std::int64_t stride) noexcept {
  switch (type) {
    case KvType::f16: return store_cache_16bit<Arch, CacheF16>(x, n, static_cast<std::uint16_t*>(out), stride);
    case KvType::bf16: return store_cache_16bit<Arch, CacheBf16>(x, n, static_cast<std::uint16_t*>(out), stride);
    case KvType::f32: break;
  }
  float* wide = static_cast<float*>(out);
  for (std::int64_t i = 0; i < n; ++i) wide[i * stride] = x[i];
}

}  // namespace moe::inline MOE_ABI::kernels

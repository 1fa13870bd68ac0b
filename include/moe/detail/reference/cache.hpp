#pragma once
// Conversion of keys and values to the cache's type and back.

#include <cstdint>

#include "moe/detail/attention.hpp"
#include "moe/detail/quant/half.hpp"

namespace moe::inline MOE_ABI::reference {

/// Rounds x [n] to the cache's type, to nearest even. `stride` in values of out: 1 for a row, 64 for a transposed key.
inline void store_cache(KvType type, const float* x, std::int64_t n, void* out, std::int64_t stride) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    switch (type) {
      case KvType::f32: static_cast<float*>(out)[i * stride] = x[i]; break;
      case KvType::f16: static_cast<std::uint16_t*>(out)[i * stride] = float_to_f16(x[i]); break;
      case KvType::bf16: static_cast<std::uint16_t*>(out)[i * stride] = float_to_bf16(x[i]); break;
    }
  }
}

/// Value i of a cache block, widened exactly.
inline float load_cache(KvType type, const void* block, std::int64_t i) noexcept {
  switch (type) {
    case KvType::f16: return f16_to_float(static_cast<const std::uint16_t*>(block)[i]);
    case KvType::bf16: return bf16_to_float(static_cast<const std::uint16_t*>(block)[i]);
    case KvType::f32: break;
  }
  return static_cast<const float*>(block)[i];
}

}  // namespace moe::inline MOE_ABI::reference

#pragma once
// Activations: float32 -> q8g32 (moe/detail/reference/quantize_activations.hpp has the definition).

#include "kernels/simd_dot.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
void quantize_q8(const float* x, std::int64_t k, std::int8_t* codes, float* scales, std::int16_t* sums) noexcept {
  using V = Vector<Arch>;
  constexpr int kParts = 32 / V::kLanes;
  for (std::int64_t b = 0; b < k / 32; ++b) {
    typename V::F v[kParts];
    typename V::F largest = V::setf(0.0f);
    for (int i = 0; i < kParts; ++i) {
      v[i] = V::loadf(x + 32 * b + i * V::kLanes);
      largest = V::max(V::abs(v[i]), largest);
    }
    const float a = V::largest(largest);
    const bool zero = a < 0x1p-100f;
    scales[b] = zero ? 0.0f : a / 127.0f;
    const typename V::F r = V::setf(zero ? 0.0f : 127.0f / a);
    typename V::I n[kParts];
    for (int i = 0; i < kParts; ++i) {
      typename V::F q = V::round_even(V::mul(v[i], r));
      q = V::min(V::max(q, V::setf(-127.0f)), V::setf(127.0f));
      n[i] = V::to_int(q);
    }
    V::store_codes(n, codes + 32 * b, sums + 2 * b);
  }
}

}  // namespace moe::inline MOE_ABI::kernels

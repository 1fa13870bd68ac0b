#pragma once
// One output of a matrix product: the definition of its bits (docs/NUMERICS.md), which every kernel must match.

#include <cmath>
#include <cstdint>

#include "moe/detail/reference/weight_block.hpp"

namespace moe::inline MOE_ABI::reference {

/// Adds 32 products of an integer format to the chain.
///
///   q       [32]  activation codes of the block
///   s             their scale
///   sums    [2]   sums of the first and the last 16 codes
inline float add_block(Format format, float acc, const WeightBlock& w, const std::int8_t* q, float s,
                       const std::int16_t* sums) noexcept {
  std::int32_t dot[2] = {0, 0};
  for (int i = 0; i < 32; ++i) dot[i / 16] += integer_weight(format, w, i) * q[i];
  const BlockKind kind = block_form(format).kind;
  const BlockScale scale = block_scale(format, w);
  if (kind == BlockKind::plain || kind == BlockKind::minimum) {
    acc = std::fma(scale.d * s, static_cast<float>(dot[0] + dot[1]), acc);
    if (kind == BlockKind::minimum) acc = std::fma(scale.m, s * static_cast<float>(sums[0] + sums[1]), acc);
    return acc;
  }
  acc = std::fma(scale.d * s, static_cast<float>(w.sc[0] * dot[0] + w.sc[1] * dot[1]), acc);
  if (kind == BlockKind::halves_min)
    acc = std::fma(-(scale.m * s), static_cast<float>(w.mn[0] * sums[0] + w.mn[1] * sums[1]), acc);
  return acc;
}

/// The same for int4 and int8: unsigned codes of the block, and their group's scale and zero point.
inline float add_scaled_block(float acc, const std::uint8_t* codes, float d, std::int32_t zero, const std::int8_t* q,
                              float s) noexcept {
  std::int32_t dot = 0;
  for (int i = 0; i < 32; ++i) dot += (codes[i] - zero) * q[i];
  return std::fma(d * s, static_cast<float>(dot), acc);
}

/// Row times activations in q8g32, both as stored.
inline float dot_q8(Format format, const std::byte* row, std::int64_t k, const std::int8_t* codes, const float* scales,
                    const std::int16_t* sums) noexcept {
  float acc = 0.0f;
  for (std::int64_t b = 0; b < k / 32; ++b)
    acc = add_block(format, acc, read_weight_block(format, row, b), codes + 32 * b, scales[b], sums + 2 * b);
  return acc;
}

/// Widened row times float32 activations.
inline float dot_f32(const float* w, std::int64_t k, const float* x, float acc = 0.0f) noexcept {
  for (std::int64_t i = 0; i < k; ++i) acc = std::fma(w[i], x[i], acc);
  return acc;
}

}  // namespace moe::inline MOE_ABI::reference

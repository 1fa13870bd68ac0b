#pragma once
// f16: little-endian IEEE half precision, one value per block of 2 bytes.

#include "moe/detail/quant/bytes.hpp"

namespace moe::inline MOE_ABI::quant {

MOE_FORCE_INLINE void decode_f16(const std::byte* block, float* out) noexcept { *out = load_f16(block); }

/// To nearest even.
[[nodiscard]] inline bool encode_f16(const float* in, std::byte* block) noexcept { return store_f16(block, *in); }

}  // namespace moe::inline MOE_ABI::quant

#pragma once
// GGUF type ids that are no Format of ours: known sizes (to skip such tensors) and obsolete ids.

#include <cstdint>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::checkpoint {

struct OtherType {
  std::uint32_t id;
  std::string_view name;
  std::int32_t block_values, block_bytes;
};

inline constexpr OtherType kOtherTypes[] = {
    {9, "q8_1", 32, 36}, {15, "q8_k", 256, 292}, {24, "i8", 1, 1},  {25, "i16", 1, 2},
    {26, "i32", 1, 4},   {27, "i64", 1, 8},      {28, "f64", 1, 8},
};

constexpr const OtherType* find_other_type(std::uint32_t id) {
  for (const OtherType& t : kOtherTypes)
    if (t.id == id) return &t;
  return nullptr;
}

/// Q4_2, Q4_3 and the interleaved Q4_0 and IQ4_NL variants: no longer part of GGUF.
constexpr bool is_removed_type(std::uint32_t id) {
  return id == 4 || id == 5 || (id >= 31 && id <= 33) || (id >= 36 && id <= 38);
}

}  // namespace moe::inline MOE_ABI::checkpoint

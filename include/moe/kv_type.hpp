#pragma once
// The number type of cached keys and values.

#include <cstdint>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

enum class KvType : std::uint8_t { f32, f16, bf16 };
constexpr std::string_view name_of(KvType value) noexcept {
  switch (value) {
    case KvType::f32: return "f32";
    case KvType::f16: return "f16";
    case KvType::bf16: return "bf16";
  }
  return "";
}

}  // namespace moe::inline MOE_ABI

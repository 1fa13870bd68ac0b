#pragma once
// The number type of cached keys and values.

#include <cstdint>
#include <optional>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// q8_0: int8 codes with an f16 scale for each 32 values of a position's head (docs/NUMERICS.md).
enum class KvType : std::uint8_t { f32, f16, bf16, q8_0 };
constexpr std::string_view name_of(KvType value) noexcept {
  switch (value) {
    case KvType::f32: return "f32";
    case KvType::f16: return "f16";
    case KvType::bf16: return "bf16";
    case KvType::q8_0: return "q8_0";
  }
  return "";
}

inline constexpr KvType kKvTypes[] = {KvType::f32, KvType::f16, KvType::bf16, KvType::q8_0};
/// The type of that name, as `--kv` takes it.
constexpr std::optional<KvType> kv_type_named(std::string_view name) noexcept {
  for (const KvType type : kKvTypes)
    if (name_of(type) == name) return type;
  return std::nullopt;
}

inline constexpr std::int64_t kKvBlock = 32;  ///< values that share a scale of q8_0; the last block may have fewer
/// Scales of one row of `values` numbers in q8_0.
constexpr std::int64_t kv_scales(std::int64_t values) noexcept { return (values + kKvBlock - 1) / kKvBlock; }
/// Bytes of one row of `values` numbers: the key or the value of one head at one position.
constexpr std::int64_t kv_bytes(KvType type, std::int64_t values) noexcept {
  if (type == KvType::q8_0) return values + 2 * kv_scales(values);
  return (type == KvType::f32 ? 4 : 2) * values;
}
/// Of the rotated part of MLA's key: it is the position, and one sixteenth of the row or less.
constexpr KvType rope_key_type(KvType type) noexcept { return type == KvType::q8_0 ? KvType::f16 : type; }
/// Of the indexer's keys (DSA): a rounding there changes which keys are attended to, and they are a few percent of a row.
constexpr KvType index_key_type(KvType type) noexcept { return rope_key_type(type); }

}  // namespace moe::inline MOE_ABI

#pragma once
// The list of weight formats: GGUF's name, type id, block length and bytes. One line per format.
// Below it those of Hugging Face directories that no GGUF file has.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Values are GGUF's own type ids, so a file's number maps without a table.
enum class Format : std::uint8_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  iq2_xxs = 16,
  iq2_xs = 17,
  iq3_xxs = 18,
  iq1_s = 19,
  iq4_nl = 20,
  iq3_s = 21,
  iq2_s = 22,
  iq4_xs = 23,
  iq1_m = 29,
  bf16 = 30,
  tq1_0 = 34,
  tq2_0 = 35,
  mxfp4 = 39,
  nvfp4 = 40,
  // Not in GGUF files: weights of Hugging Face directories whose scales are tensors of their own.
  e4m3 = 61,
  int4 = 62,
  int8 = 63,
};

struct FormatInfo {
  Format format = {};
  std::string_view name = {};
  std::int32_t block_values = {};  ///< values per block
  std::int32_t block_bytes = {};
};

inline constexpr FormatInfo kFormats[] = {
    {Format::f32, "f32", 1, 4},
    {Format::f16, "f16", 1, 2},
    {Format::q4_0, "q4_0", 32, 18},
    {Format::q4_1, "q4_1", 32, 20},
    {Format::q5_0, "q5_0", 32, 22},
    {Format::q5_1, "q5_1", 32, 24},
    {Format::q8_0, "q8_0", 32, 34},
    {Format::q2_k, "q2_k", 256, 84},
    {Format::q3_k, "q3_k", 256, 110},
    {Format::q4_k, "q4_k", 256, 144},
    {Format::q5_k, "q5_k", 256, 176},
    {Format::q6_k, "q6_k", 256, 210},
    {Format::iq2_xxs, "iq2_xxs", 256, 66},
    {Format::iq2_xs, "iq2_xs", 256, 74},
    {Format::iq3_xxs, "iq3_xxs", 256, 98},
    {Format::iq1_s, "iq1_s", 256, 50},
    {Format::iq4_nl, "iq4_nl", 32, 18},
    {Format::iq3_s, "iq3_s", 256, 110},
    {Format::iq2_s, "iq2_s", 256, 82},
    {Format::iq4_xs, "iq4_xs", 256, 136},
    {Format::iq1_m, "iq1_m", 256, 56},
    {Format::bf16, "bf16", 1, 2},
    {Format::tq1_0, "tq1_0", 256, 54},
    {Format::tq2_0, "tq2_0", 256, 66},
    {Format::mxfp4, "mxfp4", 32, 17},
    {Format::nvfp4, "nvfp4", 64, 36},
};

/// Formats of codes whose scales are elsewhere (detail/reference/scaled_row.hpp); no GGUF type.
inline constexpr FormatInfo kScaledFormats[] = {
    {Format::e4m3, "e4m3", 1, 1},
    {Format::int4, "int4", 2, 1},
    {Format::int8, "int8", 1, 1},
};

constexpr const FormatInfo* find_format(std::uint32_t gguf_type_id) {
  for (const FormatInfo& f : kFormats)
    if (static_cast<std::uint32_t>(f.format) == gguf_type_id) return &f;
  return nullptr;
}
constexpr bool is_scaled_format(Format format) noexcept {
  return format == Format::e4m3 || format == Format::int4 || format == Format::int8;
}
constexpr const FormatInfo& format_info(Format format) {
  for (const FormatInfo& f : kScaledFormats)
    if (f.format == format) return f;
  return *find_format(static_cast<std::uint32_t>(format));
}
/// GGUF's name in lower case; empty for a value that is no format.
constexpr std::string_view name_of(Format format) noexcept {
  if (is_scaled_format(format)) return format_info(format).name;
  const FormatInfo* info = find_format(static_cast<std::uint32_t>(format));
  return info == nullptr ? std::string_view() : info->name;
}
/// Bytes of a row of `value_count` values (a multiple of block_values); of scaled formats, the codes.
constexpr std::int64_t row_bytes(Format format, std::int64_t value_count) {
  const FormatInfo& f = format_info(format);
  return value_count / f.block_values * f.block_bytes;
}

}  // namespace moe::inline MOE_ABI

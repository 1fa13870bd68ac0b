#pragma once
// float32 to the weight formats that libmoe writes, row by row.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "moe/detail/quant/bf16.hpp"
#include "moe/detail/quant/f16.hpp"
#include "moe/detail/quant/f32.hpp"
#include "moe/detail/quant/q4_0.hpp"
#include "moe/detail/quant/q4_1.hpp"
#include "moe/detail/quant/q4_k.hpp"
#include "moe/detail/quant/q5_0.hpp"
#include "moe/detail/quant/q5_1.hpp"
#include "moe/detail/quant/q6_k.hpp"
#include "moe/detail/quant/q8_0.hpp"
#include "moe/formats.hpp"

namespace moe::inline MOE_ABI {

namespace detail {

/// False: the format cannot hold these values.
using EncodeBlock = bool (*)(const float* in, std::byte* block) noexcept;

/// Null for formats that are only read.
constexpr EncodeBlock block_encoder(Format format) {
  switch (format) {
    case Format::f32: return quant::encode_f32;
    case Format::f16: return quant::encode_f16;
    case Format::bf16: return quant::encode_bf16;
    case Format::q8_0: return quant::encode_q8_0;
    case Format::q4_0: return quant::encode_q4_0;
    case Format::q4_1: return quant::encode_q4_1;
    case Format::q5_0: return quant::encode_q5_0;
    case Format::q5_1: return quant::encode_q5_1;
    case Format::q4_k: return quant::encode_q4_k;
    case Format::q6_k: return quant::encode_q6_k;
    default: return nullptr;
  }
}

}  // namespace detail

constexpr bool can_encode(Format format) { return detail::block_encoder(format) != nullptr; }

/// Quantises a row of weights.
///
///   in   [value_count], a multiple of the format's block_values
///   row  [row_bytes(format, value_count)]; undefined after an error
///
/// Errors    unsupported (a format that is only read), bad_shape, non_finite (naming the value), bad_argument when
///           values are too large for the format
/// Accuracy  the bytes of the formats' reference implementation, on every compiler
[[nodiscard]] inline Result<void> encode_row(Format format, const float* in, std::int64_t value_count, std::byte* row) {
  const detail::EncodeBlock encode = detail::block_encoder(format);
  const FormatInfo& info = format_info(format);
  const std::string name(info.name);
  if (encode == nullptr) return fail(ErrorCode::unsupported, "format " + name + " is read but not written");
  if (value_count % info.block_values != 0)
    return fail(ErrorCode::bad_shape, "a row of " + std::to_string(value_count) + " values, expected a multiple of " +
                                          std::to_string(info.block_values) + " for " + name);
  for (std::int64_t i = 0; i < value_count; ++i)
    if (!std::isfinite(in[i]))
      return fail(ErrorCode::non_finite,
                  "value " + std::to_string(i) + " is " + std::to_string(in[i]) + ", expected a finite number");
  for (std::int64_t done = 0; done < value_count; done += info.block_values, row += info.block_bytes)
    if (!encode(in + done, row))
      return fail(ErrorCode::bad_argument, "the values from " + std::to_string(done) + " on are too large for " + name +
                                               ", the largest is " +
                                               std::to_string(quant::largest_magnitude(in + done, info.block_values)));
  return {};
}

}  // namespace moe::inline MOE_ABI

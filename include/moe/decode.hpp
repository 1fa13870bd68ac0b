#pragma once
// Any weight format to float32, row by row.

#include <cstddef>
#include <cstdint>

#include "moe/detail/quant/bf16.hpp"
#include "moe/detail/quant/f16.hpp"
#include "moe/detail/quant/f32.hpp"
#include "moe/detail/quant/iq1_m.hpp"
#include "moe/detail/quant/iq1_s.hpp"
#include "moe/detail/quant/iq2_s.hpp"
#include "moe/detail/quant/iq2_xs.hpp"
#include "moe/detail/quant/iq2_xxs.hpp"
#include "moe/detail/quant/iq3_s.hpp"
#include "moe/detail/quant/iq3_xxs.hpp"
#include "moe/detail/quant/iq4_nl.hpp"
#include "moe/detail/quant/iq4_xs.hpp"
#include "moe/detail/quant/mxfp4.hpp"
#include "moe/detail/quant/nvfp4.hpp"
#include "moe/detail/quant/q2_k.hpp"
#include "moe/detail/quant/q3_k.hpp"
#include "moe/detail/quant/q4_0.hpp"
#include "moe/detail/quant/q4_1.hpp"
#include "moe/detail/quant/q4_k.hpp"
#include "moe/detail/quant/q5_0.hpp"
#include "moe/detail/quant/q5_1.hpp"
#include "moe/detail/quant/q5_k.hpp"
#include "moe/detail/quant/q6_k.hpp"
#include "moe/detail/quant/q8_0.hpp"
#include "moe/detail/quant/tq1_0.hpp"
#include "moe/detail/quant/tq2_0.hpp"
#include "moe/formats.hpp"

namespace moe::inline MOE_ABI {

namespace detail {

using DecodeBlock = void (*)(const std::byte* block, float* out) noexcept;

template <Format F, DecodeBlock Decode>
inline void decode_blocks(const std::byte* row, std::int64_t value_count, float* out) noexcept {
  constexpr FormatInfo info = format_info(F);
  for (std::int64_t done = 0; done + info.block_values <= value_count; done += info.block_values) {
    Decode(row, out + done);
    row += info.block_bytes;
  }
}

}  // namespace detail

/// Widens a row of weights to float32. Values are exact, except for one rounding where a minimum is subtracted.
///
///   row  [row_bytes(format, value_count)]
///   out  [value_count], a multiple of the format's block_values (a remainder is left untouched)
///
/// Accuracy  bit-equal to the format's definition, on every compiler
inline void decode_row(Format format, const std::byte* row, std::int64_t value_count, float* out) noexcept {
  switch (format) {
    case Format::f32: return detail::decode_blocks<Format::f32, quant::decode_f32>(row, value_count, out);
    case Format::f16: return detail::decode_blocks<Format::f16, quant::decode_f16>(row, value_count, out);
    case Format::q4_0: return detail::decode_blocks<Format::q4_0, quant::decode_q4_0>(row, value_count, out);
    case Format::q4_1: return detail::decode_blocks<Format::q4_1, quant::decode_q4_1>(row, value_count, out);
    case Format::q5_0: return detail::decode_blocks<Format::q5_0, quant::decode_q5_0>(row, value_count, out);
    case Format::q5_1: return detail::decode_blocks<Format::q5_1, quant::decode_q5_1>(row, value_count, out);
    case Format::q8_0: return detail::decode_blocks<Format::q8_0, quant::decode_q8_0>(row, value_count, out);
    case Format::q2_k: return detail::decode_blocks<Format::q2_k, quant::decode_q2_k>(row, value_count, out);
    case Format::q3_k: return detail::decode_blocks<Format::q3_k, quant::decode_q3_k>(row, value_count, out);
    case Format::q4_k: return detail::decode_blocks<Format::q4_k, quant::decode_q4_k>(row, value_count, out);
    case Format::q5_k: return detail::decode_blocks<Format::q5_k, quant::decode_q5_k>(row, value_count, out);
    case Format::q6_k: return detail::decode_blocks<Format::q6_k, quant::decode_q6_k>(row, value_count, out);
    case Format::iq2_xxs: return detail::decode_blocks<Format::iq2_xxs, quant::decode_iq2_xxs>(row, value_count, out);
    case Format::iq2_xs: return detail::decode_blocks<Format::iq2_xs, quant::decode_iq2_xs>(row, value_count, out);
    case Format::iq3_xxs: return detail::decode_blocks<Format::iq3_xxs, quant::decode_iq3_xxs>(row, value_count, out);
    case Format::iq1_s: return detail::decode_blocks<Format::iq1_s, quant::decode_iq1_s>(row, value_count, out);
    case Format::iq4_nl: return detail::decode_blocks<Format::iq4_nl, quant::decode_iq4_nl>(row, value_count, out);
    case Format::iq3_s: return detail::decode_blocks<Format::iq3_s, quant::decode_iq3_s>(row, value_count, out);
    case Format::iq2_s: return detail::decode_blocks<Format::iq2_s, quant::decode_iq2_s>(row, value_count, out);
    case Format::iq4_xs: return detail::decode_blocks<Format::iq4_xs, quant::decode_iq4_xs>(row, value_count, out);
    case Format::iq1_m: return detail::decode_blocks<Format::iq1_m, quant::decode_iq1_m>(row, value_count, out);
    case Format::bf16: return detail::decode_blocks<Format::bf16, quant::decode_bf16>(row, value_count, out);
    case Format::tq1_0: return detail::decode_blocks<Format::tq1_0, quant::decode_tq1_0>(row, value_count, out);
    case Format::tq2_0: return detail::decode_blocks<Format::tq2_0, quant::decode_tq2_0>(row, value_count, out);
    case Format::mxfp4: return detail::decode_blocks<Format::mxfp4, quant::decode_mxfp4>(row, value_count, out);
    case Format::nvfp4: return detail::decode_blocks<Format::nvfp4, quant::decode_nvfp4>(row, value_count, out);
    case Format::e4m3:
    case Format::int4:
    case Format::int8: break;  // reference::decode_scaled_row(): they need their scales
  }
}

}  // namespace moe::inline MOE_ABI
